/* Makes the N-th write, fsync or rename in a folder fail, as a full or dying disk does.

   LEKTRACK_FAULT_FOLDER  only what happens to files under this folder counts
   LEKTRACK_FAULT_AT      number of the call that fails, from 1
   LEKTRACK_FAULT_ERRNO   how: 28 is ENOSPC, 5 is EIO; a failing write of more than one byte first writes half of it

   cc -shared -fPIC -o shim.so shim.c -ldl
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int calls = 0;

static int is_inside(const char *path) {
  const char *folder = getenv("LEKTRACK_FAULT_FOLDER");
  return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int fails(const char *path) {
  const char *at = getenv("LEKTRACK_FAULT_AT");
  return at && is_inside(path) && ++calls >= atoi(at);
}

static int fd_fails(int fd) {
  char link[64], path[PATH_MAX + 1];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX);
  if (length < 0) return 0;
  path[length] = 0;
  return fails(path);
}

static int fail(void) {
  const char *number = getenv("LEKTRACK_FAULT_ERRNO");
  errno = number ? atoi(number) : EIO;
  return -1;
}

ssize_t write(int fd, const void *data, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "write");
  if (!fd_fails(fd)) return real(fd, data, size);
  return size > 1 && calls % 2 ? real(fd, data, size / 2) : fail(); /* half now, the error with the next call */
}

int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  return fd_fails(fd) ? fail() : real(fd);
}

int rename(const char *from, const char *to) {
  static int (*real)(const char *, const char *);
  if (!real) real = dlsym(RTLD_NEXT, "rename");
  return fails(to) ? fail() : real(from, to);
}
