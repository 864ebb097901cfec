"""From filled triangles to lit samples, and from samples to the pixels of a frame. Compiled."""

import math

import numpy as np

from backend.lek.body import BILL, LEG, RUFF, TAIL_FAN, TUFT, WING
from backend.project.kernels import kernel

FUZZ = 0.30  # how far feathers fray at a silhouette, as the cosine to the view
TO_LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)


@kernel
def shade(owner, weight, vertices, normals, mesh, atlas, fray, eye_z, to_sun, sun, sky, bounce, colour):
    """Light the samples of one bird; fray its silhouette by setting ``owner`` to -1 there.

    Parameters
    ----------
    owner, weight
        From `raster.fill`.
    vertices, normals
        (V, 3) float64 in the world.
    mesh, atlas
        Its `Mesh`, and (materials, h, w, 3) uint8 sRGB.
    fray
        (h, w) float32 uniform noise over a part's (v, u).
    eye_z
        Height of the lens, m.
    to_sun, sun, sky, bounce
        (3,) float64; see `light.Light`.
    colour
        (h, w, 3) float32 to fill, linear.

    Returns
    -------
    int
        Samples covered.
    """
    height, width = owner.shape
    tex_h, tex_w = atlas.shape[1], atlas.shape[2]
    covered = 0
    at, n = np.empty(3), np.empty(3)
    for y in range(height):
        for x in range(width):
            t = owner[y, x]
            if t < 0:
                continue
            a, b, c = mesh.triangles[t]
            wa, wb = weight[y, x]
            wc = 1.0 - wa - wb
            for axis in range(3):
                at[axis] = wa * vertices[a, axis] + wb * vertices[b, axis] + wc * vertices[c, axis]
                n[axis] = wa * normals[a, axis] + wb * normals[b, axis] + wc * normals[c, axis]
            u = wa * mesh.uv[a, 0] + wb * mesh.uv[b, 0] + wc * mesh.uv[c, 0]
            v = wa * mesh.uv[a, 1] + wb * mesh.uv[b, 1] + wc * mesh.uv[c, 1]
            material = mesh.material[t]
            vx, vy, vz = -at[0], -at[1], eye_z - at[2]
            scale = 1.0 / math.sqrt(vx * vx + vy * vy + vz * vz)
            length = 1.0 / math.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2] + 1e-12)
            facing = (n[0] * vx + n[1] * vy + n[2] * vz) * scale * length
            if facing < 0.0:
                n[0], n[1], n[2], facing = -n[0], -n[1], -n[2], -facing
            feathered = material != LEG and material != BILL
            if feathered and facing < FUZZ * fray[int(v * fray.shape[0]) % fray.shape[0], int(u * 255.0)]:
                owner[y, x] = -1
                continue
            covered += 1
            lit = (n[0] * to_sun[0] + n[1] * to_sun[1] + n[2] * to_sun[2]) * length
            direct = max(0.0, (lit + 0.22) / 1.22)
            if material in (RUFF, WING, TAIL_FAN, TUFT):
                direct += 0.18 * max(0.0, -lit)  # light that shines through feathers
            above = 0.5 + 0.5 * n[2] * length
            rim = 0.16 * (1.0 - facing) ** 3 * above if feathered else 0.05
            row = min(max(v * tex_h - 0.5, 0.0), tex_h - 1.001)
            column = min(max(u * tex_w - 0.5, 0.0), tex_w - 1.001)
            r0, c0 = int(row), int(column)
            fr, fc = row - r0, column - c0
            for k in range(3):
                upper = (
                    TO_LINEAR[atlas[material, r0, c0, k]] * (1.0 - fc) + TO_LINEAR[atlas[material, r0, c0 + 1, k]] * fc
                )
                lower = (
                    TO_LINEAR[atlas[material, r0 + 1, c0, k]] * (1.0 - fc)
                    + TO_LINEAR[atlas[material, r0 + 1, c0 + 1, k]] * fc
                )
                albedo = upper * (1.0 - fr) + lower * fr
                light = sun[k] * direct + sky[k] * above + bounce[k] * (1.0 - above)
                colour[y, x, k] = albedo * light + rim * 0.12 * (sun[k] + sky[k])
    return covered


@kernel
def compose(owner, near, colour, left, top, value, scene_near, frame_near, frame_owner, frame_colour):
    """Put a bird's samples into the frame where nothing nearer is; return how many of them lie inside the picture."""
    height, width = owner.shape
    inside = 0
    for y in range(max(0, -top), min(height, frame_near.shape[0] - top)):
        for x in range(max(0, -left), min(width, frame_near.shape[1] - left)):
            if owner[y, x] < 0:
                continue
            inside += 1
            row, column = y + top, x + left
            if near[y, x] > scene_near[row, column] and near[y, x] > frame_near[row, column]:
                frame_near[row, column] = near[y, x]
                frame_owner[row, column] = value
                for k in range(3):
                    frame_colour[row, column, k] = colour[y, x, k]
    return inside


@kernel
def resolve(frame_owner, frame_near, frame_colour, regions, samples, picture, owner):
    """Average samples into pixels, and give each pixel to the bird that holds most of it, if birds hold half.

    The frame's samples are cleared for the next frame where they are read, which is in ``regions`` (n, 4) int64 of
    `visible.measure`, each pixel being ``samples`` x ``samples``. Birds are blended into ``picture`` (H, W, 3) float32
    linear, the lit scene. ``owner`` (H, W) uint8 is 0 before.
    """
    share = 1.0 / (samples * samples)
    for x1, y1, x2, y2 in regions:
        for y in range(y1, y2):
            for x in range(x1, x2):
                held, best = _holder(frame_owner, y * samples, x * samples, samples)
                if held == 0:
                    continue
                if 2 * held >= samples * samples:
                    owner[y, x] = best
                r = g = b = 0.0
                for sy in range(y * samples, (y + 1) * samples):
                    for sx in range(x * samples, (x + 1) * samples):
                        if frame_owner[sy, sx]:
                            r += frame_colour[sy, sx, 0]
                            g += frame_colour[sy, sx, 1]
                            b += frame_colour[sy, sx, 2]
                            frame_owner[sy, sx] = 0
                            frame_near[sy, sx] = 0.0
                rest = 1.0 - held * share
                picture[y, x, 0] = picture[y, x, 0] * rest + r * share
                picture[y, x, 1] = picture[y, x, 1] * rest + g * share
                picture[y, x, 2] = picture[y, x, 2] * rest + b * share


@kernel
def _holder(frame_owner, top, left, samples):
    """Return how many samples of a pixel birds hold, and which bird holds most of them."""
    held, best, most = 0, 0, 0
    for y in range(top, top + samples):
        for x in range(left, left + samples):
            bird = frame_owner[y, x]
            if bird == 0:
                continue
            held += 1
            same = 0
            for other_y in range(top, top + samples):
                for other_x in range(left, left + samples):
                    same += frame_owner[other_y, other_x] == bird
            if same > most:
                best, most = bird, same
    return held, best


@kernel
def light_scene(albedo, sunlit, shadow, contact, sun, sky, picture):
    """Fill ``picture`` (H, W, 3) float32 linear with the scene under the light of the moment.

    ``albedo`` is (H, W, 3) float32 linear; ``sunlit`` (H, W) float32 how much sun things that stand still leave;
    ``shadow`` and ``contact`` (H, W) uint8 where birds hide the sun, and the sky; ``sun`` and ``sky`` (3,) float64.
    """
    for y in range(albedo.shape[0]):
        for x in range(albedo.shape[1]):
            direct = sunlit[y, x] * (1.0 - 0.92 / 255.0 * shadow[y, x])
            diffuse = 1.0 - 0.62 / 255.0 * contact[y, x]
            for k in range(3):
                picture[y, x, k] = albedo[y, x, k] * (sun[k] * direct + sky[k] * diffuse)
