"""The board in a real browser, with the keyboard alone: a whole review, undo of everything, and lost connections."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from backend.masks import rle
from backend.project.paths import Project
from backend.tracking.tracks.edits import read_log
from backend.tracking.tracks.schemas import TRACKS
from backend.tracking.tracks.track_folder import open_tracks, read_doubts, write_tracks
from backend.tracking.tracks.tracks import Tracks
from tests.board.boards import MEETINGS, board_server, identity_errors, small_project
from tests.board.leks import rendered_project, true_tracks, wrong_meetings, wrong_rows
from tests.tracking.track_samples import same
from tests.web.servers import Server, running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return three birds that meet four times."""
    return small_project(tmp_path / "project")


@pytest.fixture
def server(project: Project) -> Iterator[Server]:
    """Return the running board."""
    with running(board_server(project)) as started:
        yield started


def begin(page: Page, server: Server) -> list[str]:
    """Open the board; return the list that collects what the browser complains of."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.sign_in_url)
    expect(page.locator("#connection")).to_have_class("connected")
    expect(page.locator("#swap-words")).to_contain_text("becomes")
    return complaints


def review(page: Page, is_wrong: Callable[[int], bool]) -> int:
    """Answer every doubt by key from what is true; return the number of keys pressed."""
    keys, card = 0, page.locator("#card")
    while not page.locator("#done").is_visible():
        expect(page.locator("#card:visible, #done:visible")).to_have_count(1)
        if not card.is_visible():
            continue
        number = card.get_attribute("data-doubt")
        expect(page.locator("#keep-words")).to_have_text(re.compile("becomes|names"))
        page.keyboard.press("s" if is_wrong(int(number or 0)) else "k")
        keys += 1
        expect(page.locator(f'#card[data-doubt="{number}"]:visible')).to_have_count(0)
        expect(page.locator("#saved")).to_have_text("All saved")
    return keys


def undo_everything(page: Page) -> None:
    """Press Ctrl+Z until there is nothing to undo."""
    undo = page.locator("#undo")
    for _ in range(500):
        expect(page.locator("#saved")).to_have_text("All saved")
        if undo.is_disabled():
            return
        before = undo.get_attribute("title"), page.locator("#queue-state").text_content()
        page.keyboard.press("Control+z")
        page.wait_for_function(
            "([title, done]) => document.getElementById('undo').title !== title"
            " || document.getElementById('queue-state').textContent !== done",
            arg=list(before),
        )
    raise AssertionError("there is always something to undo")


def as_bytes(tracks: Tracks, folder: Path) -> bytes:
    """Return tracks as the bytes of their file."""
    folder.mkdir()
    write_tracks(folder, tracks)
    return (folder / TRACKS).read_bytes()


def test_a_review_by_keys_ends_with_right_identities_and_undo_of_all_gives_the_automatic_result(
    page: Page, server: Server, project: Project, tmp_path: Path
) -> None:
    complaints = begin(page, server)
    expect(page.get_by_role("link", name="Help")).to_have_attribute("href", re.compile("/guide#correct-mistakes$"))
    run = project.track_output("lek", "tracks-a")
    assert review(page, lambda number: MEETINGS[number - 1][2]) == 4
    assert identity_errors(open_tracks(run)) == 0
    undo_everything(page)
    assert as_bytes(open_tracks(run), tmp_path / "undone") == as_bytes(open_tracks(run, False), tmp_path / "first")
    assert not complaints


def test_a_key_is_taken_only_for_a_doubt_that_is_shown_and_once_however_long_it_is_held(
    page: Page, server: Server, project: Project
) -> None:
    cards: list[str] = []
    held: list[Route] = []
    is_open = False

    def first_card_only(route: Route) -> None:
        cards.append(route.request.url.rpartition("/")[2])
        if is_open or cards[-1] == cards[0]:
            route.continue_()
        else:
            held.append(route)

    page.route(re.compile(r"/api/doubts/\d+\?of=\w+$"), first_card_only)
    complaints = begin(page, server)
    first = page.locator("#card").get_attribute("data-doubt")
    page.keyboard.press("k")
    expect(page.locator("#card")).to_be_hidden()
    page.keyboard.press("k")
    page.keyboard.press("u")
    expect(page.locator("#message")).to_have_text("Ignored: the next doubt is not displayed yet")
    expect(page.locator("#queue-state")).to_have_text("1 of 4 done")
    expect(page.locator("#saved")).to_have_text("All saved")
    expect(page.locator("#coming")).to_be_visible()
    expect(page.locator("#done")).to_be_hidden()
    is_open = True
    for route in held:
        route.continue_()
    expect(page.locator("#card")).to_be_visible()
    expect(page.locator("#keep-words")).to_have_text(re.compile("becomes|names"))
    second = page.locator("#card").get_attribute("data-doubt")
    assert second != first
    page.keyboard.down("k")
    expect(page.locator("#queue-state")).to_have_text("2 of 4 done")
    expect(page.locator("#card")).to_be_visible()
    expect(page.locator("#keep-words")).to_have_text(re.compile("becomes|names"))
    page.keyboard.down("k")  # as a key does that is held
    page.keyboard.up("k")
    page.keyboard.press("u")
    expect(page.locator("#queue-state")).to_have_text("3 of 4 done")
    acts = read_log(project.root / "corrections/lek/detections-a.jsonl")
    assert [act.act for act in acts] == ["keep", "keep", "unsure"]
    assert len({act.pairs for act in acts}) == 3  # each doubt once
    assert not complaints


def test_what_was_decided_while_the_server_was_gone_survives_a_reload(
    page: Page, server: Server, project: Project
) -> None:
    begin(page, server)
    expect(page.locator("#keep-words")).to_contain_text("names")
    server.kill()
    page.keyboard.press("k")
    expect(page.locator("#saved")).to_have_text("Saving 1…")
    expect(page.locator("#connection")).to_have_class("lost")
    server.start()
    page.reload()
    expect(page.locator("#saved")).to_have_text("All saved", timeout=15000)
    expect(page.locator("#queue-state")).to_have_text("1 of 4 done")
    assert [act.act for act in read_log(project.root / "corrections/lek/detections-a.jsonl")] == ["keep"]


def test_an_act_says_what_it_will_change_and_a_bird_in_two_places_is_refused(
    page: Page, server: Server, project: Project
) -> None:
    begin(page, server)
    page.keyboard.press("F2")
    page.keyboard.press("Tab")
    page.locator("#exchange").uncheck()
    page.keyboard.press("2")
    expect(page.locator("#preview-words")).to_contain_text("frame 12: bird 02 is seen elsewhere in this frame")
    expect(page.locator("#apply")).to_be_disabled()
    page.locator("#exchange").check()
    page.locator("#scope").select_option("end")
    page.locator("#view").focus()
    page.keyboard.press("2")
    expect(page.locator("#preview-words")).to_have_text(
        "bird 01 becomes bird 02 in 48 frames, 12 to the end; bird 02 becomes bird 01 in 48 frames, 12 to the end"
    )
    page.locator("#act-why").fill("the ring, read at 0:03")  # once it is seen what will change
    page.locator("#view").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#undo")).to_be_enabled()
    expect(page.locator("#act-why")).to_have_value("")
    acts = read_log(project.root / "corrections/lek/detections-a.jsonl")
    assert acts and {act.why for act in acts} == {"the ring, read at 0:03"}


def test_enter_applies_a_typed_name_and_number_keys_choose_the_name_that_shows_the_number(
    page: Page, server: Server, project: Project
) -> None:
    begin(page, server)
    page.keyboard.press("F2")
    page.keyboard.press("Tab")
    name = page.locator("#new-name")
    name.fill("Rufus")
    name.press("Enter")
    expect(page.locator("#preview-words")).to_contain_text("becomes Rufus")
    name.press("Enter")
    expect(page.locator("#preview")).to_be_hidden()
    expect(page.locator("#palette button", has_text="Rufus")).to_have_count(1)
    (act,) = read_log(project.root / "corrections/lek/detections-a.jsonl")
    assert (act.act, act.identity) == ("name", "Rufus")
    page.locator("#view").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#chosen-facts")).to_contain_text("detected")  # the rows after the act are here
    own = page.locator("#chosen-bird").text_content()
    buttons = page.locator("#palette button")
    for number in range(1, buttons.count() + 1):
        shown = buttons.filter(has=page.locator("kbd", has_text=str(number)))
        bird = shown.get_attribute("title") or ""
        page.keyboard.press(str(number))
        said = page.locator("#message" if bird == own else "#preview-words")
        expect(said).to_contain_text(f"{bird} already" if bird == own else f"becomes {bird}")


def test_two_pages_see_each_other_and_a_decision_on_what_has_changed_is_not_made(
    page: Page, server: Server, project: Project
) -> None:
    begin(page, server)
    other = page.context.new_page()
    begin(other, server)
    expect(page.locator("#swap-words")).to_contain_text("becomes")
    other.locator("#view").focus()
    page.route("**/api/pulse", lambda route: route.abort())  # this page hears nothing of the other one
    expect(other.locator("#swap-words")).to_contain_text("becomes")
    other.keyboard.press("s")
    expect(other.locator("#queue-state")).to_have_text("1 of 4 done")
    page.keyboard.press("s")  # on the birds as they were before the other one swapped them
    expect(page.locator("#message")).to_contain_text("somebody changed", ignore_case=True)
    assert identity_errors(open_tracks(project.track_output("lek", "tracks-a"))) == 3 * (60 - 36) - 24
    assert len(read_log(project.root / "corrections/lek/detections-a.jsonl")) == 2


def test_a_key_can_be_changed_and_is_kept(page: Page, server: Server) -> None:
    begin(page, server)
    page.keyboard.press("?")
    page.get_by_role("button", name="K", exact=True).first.click()
    page.keyboard.press("j")
    page.get_by_role("button", name="Close").click()
    page.reload()
    expect(page.locator("#keep-words")).to_contain_text("names")
    page.keyboard.press("k")
    page.keyboard.press("j")
    expect(page.locator("#queue-state")).to_have_text("1 of 4 done")


@pytest.mark.slow
def test_a_review_of_the_rendered_lek_leaves_no_wrong_identity(page: Page, tmp_path: Path) -> None:
    project = rendered_project(tmp_path / "project", birds=12, seconds=8, seed=5)
    run, truth = project.track_output("video", "tracks-a"), true_tracks(project, "video")
    wrong = wrong_meetings(project)
    assert len(wrong) >= 3 and wrong_rows(open_tracks(run), truth) > 0
    with running(board_server(project, video="video")) as server:
        begin(page, server)
        keys = review(page, lambda number: number in wrong)
        assert wrong_rows(open_tracks(run), truth) == 0
        undo_everything(page)
    assert same(open_tracks(run), open_tracks(run, corrections=False))
    assert keys == len(read_doubts(run))


def test_a_mask_is_drawn_by_mouse_and_by_keyboard_and_undone(
    page: Page, server: Server, project: Project, tmp_path: Path
) -> None:
    complaints = begin(page, server)
    run = project.track_output("lek", "tracks-a")
    page.keyboard.press("Tab")
    page.keyboard.press("b")
    expect(page.locator("#drawing-who")).to_have_text("Drawing bird 01")
    shown = page.locator("#view").bounding_box()
    assert shown is not None
    frame = int(page.locator("#frame").input_value())
    scale = min(shown["width"] / 160, shown["height"] / 96)
    left, top = (shown[side] + (shown[length] - size * scale) / 2 for side, length, size in
                 (("x", "width", 160), ("y", "height", 96)))  # fmt: skip
    page.mouse.move(left + 100 * scale, top + 80 * scale)
    page.mouse.down()
    page.mouse.move(left + 130 * scale, top + 80 * scale, steps=5)
    page.mouse.up()
    words = page.locator("#preview-words")
    expect(words).to_have_text(f"bird 01 is drawn in frame {frame} with this mask, 1 frame")
    page.keyboard.press("Enter")
    expect(page.locator("#history li")).to_have_count(1)
    expect(page.locator("#drawing")).to_be_hidden()
    ((where, counts),) = open_tracks(run).drawn.items()
    mask = rle.decode(counts, 96, 160)
    assert where == (frame, 1) and mask[80, 101:130].all()
    assert mask[36 + 8, 10 + 2 * frame + 10]  # what it had: the two birds were exchanged here

    expect(page.locator("#chosen-facts")).to_have_text("detected, 100 % certain")  # the rows after the act are here
    page.keyboard.press("b")
    page.keyboard.press("g")
    for key in ("Space", *["Shift+ArrowLeft"] * 3, "Space", *["Shift+ArrowUp"] * 2, "Space"):
        page.keyboard.press(key)
    expect(page.locator("#preview")).to_be_hidden()
    page.keyboard.press("Enter")  # closes the polygon
    expect(page.locator("#preview")).to_be_visible()
    expect(words).to_contain_text("with this mask")
    page.keyboard.press("Backspace")  # takes it back
    expect(page.locator("#preview")).to_be_hidden()
    page.keyboard.press("e")
    page.keyboard.press("Space")
    expect(page.locator("#preview")).to_be_visible()
    expect(words).to_contain_text("with this mask")
    page.keyboard.press("Enter")
    expect(page.locator("#history li")).to_have_count(2)
    assert 0 < rle.decode(open_tracks(run).drawn[frame, 1], 96, 160).sum() < mask.sum()

    for acts in (3, 4):
        page.keyboard.press("Control+z")
        expect(page.locator("#history li")).to_have_count(acts)
    assert as_bytes(open_tracks(run), tmp_path / "undone") == as_bytes(open_tracks(run, False), tmp_path / "first")
    assert not open_tracks(run).drawn
    assert not complaints
