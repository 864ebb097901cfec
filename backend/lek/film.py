"""Filming with rendering: a lit picture of every frame, its video, and which pixels each bird owns in it."""

import contextlib
from pathlib import Path

import cv2
import numpy as np

from backend.jobs.progress import Progress
from backend.lek.bird import Behaviour
from backend.lek.body import MESH, N_VERTICES, flesh
from backend.lek.camera import NEAREST_M, Camera, project
from backend.lek.grass import grow_grass
from backend.lek.ground import Scene, paint_ground
from backend.lek.lens import NOISE_BANK, develop, noise_bank, tone_curve, vignette
from backend.lek.light import Light, Weather
from backend.lek.nest_box import build_box, light_inside
from backend.lek.paint import compose, light_scene, resolve, shade
from backend.lek.plumage import Plumage, plumages
from backend.lek.raster import SAMPLES, cover, empty_buffers, fill, normals, to_samples
from backend.lek.visible import VIEW, RunLengths, measure, scratch
from backend.lek.wind import Wind
from backend.lek.world import Lek, stream
from backend.masks.indexed import write_labels
from backend.project.atomic import atomic_file
from backend.video.encode import VideoWriter

REPORT_EVERY = 10  # frames
GROUP_S = 2  # from one key frame to the next
BLUR_PX = 0.55  # of the lens, standard deviation


class Renderer:
    """Films a lek into a video file; use it as a context manager. See `Outliner` for the same without pictures."""

    def __init__(
        self, lek: Lek, video: Path, masks: bool, pictures: tuple[Path, int] | None, progress: Progress | None = None
    ):
        self._lek, self._path, self._pictures, self._progress = lek, video, pictures, progress
        self.studio = Studio(lek)
        self._runs = scratch(lek.settings.size, masks)
        self._codes = RunLengths()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Renderer":
        settings = self._lek.settings
        if self._pictures:
            self._pictures[0].mkdir(exist_ok=True)
        file = self._stack.enter_context(atomic_file(self._path))
        crf, start = settings.difficulty.crf, settings.start_time
        writer = VideoWriter(file, settings.size, settings.fps, crf, GROUP_S * settings.fps, start=start)
        self._writer = self._stack.enter_context(writer)
        if self._progress:
            self._progress.stage("rendering", settings.n_frames)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    def film(self, first: int, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Film (frames, n) BIRD states, the first of which is frame ``first``; return as `Outliner.film` does."""
        views = np.zeros(states.shape, VIEW)
        for offset, (birds, seen) in enumerate(zip(states, views, strict=True)):
            frame = first + offset
            rgb, owner, regions = self.studio.shoot(frame, birds, seen)
            self._codes.append(lambda out, at, o=owner, r=regions, s=seen: measure(o, r, s, self._runs, out, at))
            self._writer.write(rgb)
            if self._pictures and frame % self._pictures[1] == 0:
                write_labels(self._pictures[0] / f"{frame:06d}.png", owner)
            if self._progress and frame % REPORT_EVERY == 0:
                self._progress.update(frame)
        return views, self._codes.take()


class Studio:
    """Makes pictures of a lek, one frame at a time."""

    def __init__(self, lek: Lek):
        width, height = lek.settings.size
        self._lek = lek
        self.weather = Weather(lek)
        scene = build_scene(lek, self.weather)
        self._albedo, self._sunlit, self._scene_near = _to_pixels(scene.albedo), _to_pixels(scene.sunlit), scene.near
        grows = _to_pixels((scene.grown & (scene.near > 0)).astype(np.float32))
        nearness = np.linspace(0.25, 1.0, height, dtype=np.float32)[:, None]
        self._wind = Wind(grows, nearness, lek.settings.difficulty.wind_px, stream(lek.settings, "wind"))
        self._plumages = plumages(lek)
        self._fray = stream(lek.settings, "fray").random((24, 256), dtype=np.float32)
        self._curve, self._vignette = tone_curve(), vignette(lek.settings.size)
        self._noise = noise_bank(stream(lek.settings, "noise"))
        self._grain = stream(lek.settings, "grain")
        self._near = np.zeros((height * SAMPLES, width * SAMPLES), np.float32)
        self._owner = np.zeros_like(self._near, dtype=np.uint8)
        self._colour = np.empty((*self._near.shape, 3), np.float32)
        self._picture = np.empty((height, width, 3), np.float32)
        self._shadow, self._contact = np.zeros((2, height, width), np.uint8)
        self._vertices = np.empty((N_VERTICES, 3))
        self._points, self._normals = np.empty_like(self._vertices), np.empty_like(self._vertices)

    def shoot(self, frame: int, birds: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take the picture of one frame.

        Returns
        -------
        rgb
            (H, W, 3) uint8.
        owner
            (H, W) uint8, id of the bird a pixel belongs to, 0 for none.
        regions
            (n, 4) int64, where each bird is; `visible.measure` takes it. Feet, ``whole`` and ``inside`` of ``views``
            are set.
        """
        seconds = frame / self._lek.settings.fps
        light = self.weather.at(seconds)
        camera = self._lek.camera.shaken(*light.shake)
        albedo, sunlit, scene_near = self._shaken_scene(self._wind.sway(self._albedo, seconds), light.shake)
        self._shadow[:] = self._contact[:] = 0
        regions = np.zeros((len(birds), 4), np.int64)
        for i, bird in enumerate(birds):
            views[i]["foot_x"], views[i]["foot_y"], _ = project(self._lek.camera, bird["x"], bird["y"], 0.0)
            if not self._is_hidden(bird, camera):
                self._draw(i, bird, camera, light, scene_near, views[i], regions[i])
        light_scene(albedo, sunlit, self._shadow, self._contact, light.sun, light.sky, self._picture)
        owner = np.zeros(self._shadow.shape, np.uint8)
        resolve(self._owner, self._near, self._colour, regions, SAMPLES, self._picture, owner)
        return self._develop(light), owner, regions

    def _is_hidden(self, bird: np.ndarray, camera: Camera) -> bool:
        unseen = bird["behaviour"] in (Behaviour.AWAY, Behaviour.IN_BOX)
        return unseen or project(camera, bird["x"], bird["y"], bird["z"])[2] < NEAREST_M

    def _draw(
        self,
        i: int,
        bird: np.ndarray,
        camera: Camera,
        light: Light,
        scene_near: np.ndarray,
        view: np.ndarray,
        region: np.ndarray,
    ) -> None:
        looks: Plumage = self._plumages[i]
        flesh(bird, self._lek.temperament["size"][i], looks.ragged, self._vertices)
        x1, y1, x2, y2 = to_samples(camera, self._vertices, SAMPLES, self._points)
        self._cast_shadow(bird, camera)
        near, owner, weight = empty_buffers(y2 - y1, x2 - x1)
        fill(self._points, MESH.triangles, x1, y1, near, owner, weight)
        normals(self._vertices, MESH.triangles, MESH.seam, self._normals)
        colour = np.empty((*near.shape, 3), np.float32)
        lit = light_inside(self._lek.arena, bird["x"], bird["y"])
        covered = shade(
            owner,
            weight,
            self._vertices,
            self._normals,
            MESH,
            looks.atlas,
            self._fray,
            camera.lens_z,
            self.weather.to_sun,
            light.sun * lit,
            light.sky * lit,
            light.bounce * lit,
            colour,
        )
        inside = compose(owner, near, colour, x1, y1, i + 1, scene_near, self._near, self._owner, self._colour)
        view["whole"], view["inside"] = _pixels(covered), _pixels(inside)
        width, height = self._lek.settings.size
        region[:] = np.clip(
            [x1 // SAMPLES, y1 // SAMPLES, x2 // SAMPLES + 1, y2 // SAMPLES + 1], 0, [width, height] * 2
        )

    def _cast_shadow(self, bird: np.ndarray, camera: Camera) -> None:
        """Darken the ground where the bird hides the sun, and below it where it hides the sky."""
        to_sun, height = self.weather.to_sun, float(bird["z"])
        flat = self._vertices.copy()
        flat[:, :2] -= flat[:, 2:] * to_sun[:2] / to_sun[2]
        flat[:, 2] = 0
        x1, y1, x2, y2 = (side // SAMPLES for side in to_samples(camera, flat, SAMPLES, self._normals))
        soft = camera.width / 960 * (0.7 + 5.0 * height)
        margin = int(3 * soft) + 2
        left, top, wide, high = x1 - margin, y1 - margin, x2 - x1 + 2 * margin, y2 - y1 + 2 * margin
        samples = np.zeros((high * SAMPLES, wide * SAMPLES), np.uint8)
        cover(self._normals, MESH.triangles, left * SAMPLES, top * SAMPLES, samples)
        mask = cv2.resize(samples, (wide, high), interpolation=cv2.INTER_AREA)
        _darken(self._shadow, cv2.GaussianBlur(mask, (0, 0), soft), left, top)
        x, y, distance = project(camera, bird["x"], bird["y"], 0.0)
        radius = max(2.0, 0.125 * camera.focal / distance)
        squeeze = max(0.2, camera.lens_z / distance)
        blob = np.hypot(
            *np.ogrid[-1 : 1 : complex(0, int(2 * radius * squeeze) + 1), -1 : 1 : complex(0, int(2 * radius) + 1)]
        )
        fading = max(0.0, 1 - height / 0.35)
        blob = (255 * fading * np.clip(1 - blob, 0, 1) ** 1.2).astype(np.uint8)
        _darken(self._contact, blob, round(x - radius), round(y - radius * squeeze))

    def _shaken_scene(
        self, albedo: np.ndarray, shake: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        dx, dy = shake
        if dx == 0 and dy == 0:
            return albedo, self._sunlit, self._scene_near
        moved = [_shift(image, dx, dy, cv2.INTER_LINEAR) for image in (albedo, self._sunlit)]
        return *moved, _shift(self._scene_near, round(SAMPLES * dx), round(SAMPLES * dy), cv2.INTER_NEAREST)

    def _develop(self, light: Light) -> np.ndarray:
        height, width = self._shadow.shape
        soft = cv2.GaussianBlur(self._picture, (0, 0), BLUR_PX * max(1.0, width / 1920))
        rgb = np.empty((height, width, 3), np.uint8)
        starts = self._grain.integers(0, NOISE_BANK, height)
        strength = self._lek.settings.difficulty.sensor_noise
        develop(soft, light.gain, self._vignette, self._curve, self._noise, starts, strength, rgb)
        return rgb


def build_scene(lek: Lek, weather: Weather) -> Scene:
    """Paint what does not move: ground, grass, nest box."""
    scene, tall = paint_ground(lek.camera, lek.arena, stream(lek.settings, "ground"))
    grow_grass(scene, tall, lek.camera, lek.arena, lek.settings.difficulty.grass, stream(lek.settings, "grass"))
    build_box(scene, lek.camera, lek.arena, weather.to_sun, stream(lek.settings, "box"))
    return scene


def _pixels(samples: int) -> int:
    return -(-samples // SAMPLES**2)


def _to_pixels(samples: np.ndarray) -> np.ndarray:
    height, width = samples.shape[0] // SAMPLES, samples.shape[1] // SAMPLES
    return cv2.resize(samples, (width, height), interpolation=cv2.INTER_AREA)


def _shift(image: np.ndarray, dx: float, dy: float, how: int) -> np.ndarray:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    return cv2.warpAffine(image, matrix, image.shape[1::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)


def _darken(target: np.ndarray, mask: np.ndarray, left: int, top: int) -> None:
    """Write the darker of both into ``target``, where ``mask`` lies inside it."""
    height, width = target.shape
    x1, y1 = max(0, left), max(0, top)
    x2, y2 = min(width, left + mask.shape[1]), min(height, top + mask.shape[0])
    if x1 < x2 and y1 < y2:
        part = target[y1:y2, x1:x2]
        np.maximum(part, mask[y1 - top : y2 - top, x1 - left : x2 - left], out=part)
