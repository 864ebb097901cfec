import numpy as np
import pandas as pd
import pytest

from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.plumage import plumages
from backend.lek.recording import record
from backend.lek.simulated_embeddings import SIZE, latents
from backend.lek.world import found


def described(out):
    rows = pd.read_parquet(out / "appearance.parquet")
    return rows, np.stack(rows.vector)


def test_every_visible_bird_has_a_vector_in_the_order_of_the_truth(outlined, truth):
    rows, vectors = described(outlined)
    seen = truth(outlined).query("area_px2 >= 12")
    assert rows[["frame", "bird"]].to_numpy().tolist() == seen[["frame", "bird"]].to_numpy().tolist()
    assert vectors.dtype == np.float32 and vectors.shape[1] == SIZE and np.isfinite(vectors).all()


@pytest.fixture(scope="module")
def confusion(tmp_path_factory):
    """Return how often the nearest mean names the wrong bird: of one vector, and of the mean over ten seconds."""

    def measure(preset):
        out = tmp_path_factory.mktemp("appearance") / preset
        record(out, LekSettings(birds=10, seconds=240, seed=5, difficulty=difficulty(preset)), video=False, masks=False)
        rows, vectors = described(out)
        early, late = (rows.frame < 3000).to_numpy(), (rows.frame >= 3000).to_numpy()
        known = sorted(set(rows.bird[early]) & set(rows.bird[late]))
        means = np.stack([vectors[early & (rows.bird == bird).to_numpy()].mean(axis=0) for bird in known])
        name = np.array(known)
        single = rows[late].assign(block=rows.frame[late] // 250)
        single = single[single.bird.isin(known)]
        table = pd.DataFrame(vectors[single.index]).groupby([single.bird.to_numpy(), single.block.to_numpy()]).mean()
        wrong = []
        for test, bird in (
            (vectors[single.index], single.bird.to_numpy()),
            (table.to_numpy(), table.index.get_level_values(0)),
        ):
            nearest = name[np.argmin(np.linalg.norm(test[:, None] - means[None], axis=2), axis=1)]
            wrong.append(float(np.mean(nearest != np.asarray(bird))))
        return wrong

    return measure


def test_birds_are_easier_to_tell_apart_the_less_they_are_alike(confusion):
    easy, normal, hard = (confusion(preset) for preset in ("easy", "normal", "hard"))
    assert easy[0] < 0.02 and normal[0] < 0.1
    assert hard[0] > 0.3  # one look is not enough
    assert hard[1] < 0.75 * hard[0]  # looking longer helps


def test_at_likeness_1_all_birds_look_the_same_and_at_0_none_does():
    for likeness, distinct in ((1.0, 1), (0.0, 4)):
        lek = found(LekSettings(birds=4, seconds=1, seed=3, difficulty=difficulty("normal", likeness)))
        assert len(np.unique(latents(lek).round(9), axis=0)) == distinct
        assert len({looks.atlas.tobytes() for looks in plumages(lek)}) == distinct
