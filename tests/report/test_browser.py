"""The page in a real browser: headless Chromium against a file, and over loopback."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

import kie_notes as kn
from kie_notes.notes import NOTES_SCHEMA
from kie_notes.report import page as page_module
from kie_notes.report import player, write_report
from kie_notes.report.facts import gather

MUSIC = "7ca1092342b6b9749ae58982793500d4"
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"

#: Columns (x in CSS pixels) of the roll in which a colour stands, between two heights, and the rows in which it does.
COLOURED = """
const [red, green, blue] = arguments;
const roll = document.getElementById("roll"), ratio = window.devicePixelRatio || 1;
const {data, width, height} = roll.getContext("2d").getImageData(0, 0, roll.width, roll.height);
const columns = new Set(), rows = new Set();
for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) {
  const at = 4 * (y * width + x);
  const near = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 24;
  if (near) { columns.add(Math.round(x / ratio)); rows.add(Math.round(y / ratio)); }
}
return [[...columns].sort((a, b) => a - b), [...rows].sort((a, b) => a - b)];
"""


def frames(driver):
    """Wait until what changed is drawn."""
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def until(driver, script, *, seconds=15):
    """Wait until a script gives something true, and give it."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, 0.02).until(lambda each: each.execute_script(f"return {script}"))


def click(driver, element):
    driver.execute_script(f"document.getElementById('{element}').click()")


def text_of(driver, element):
    return driver.execute_script(f"return document.getElementById('{element}').textContent")


def cursor(driver):
    """Seconds of the cursor, as the slider tells them to screen readers."""
    frames(driver)
    return float(driver.execute_script("return document.getElementById('map').getAttribute('aria-valuenow')"))


def press(driver, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys(*keys).perform()
    frames(driver)


def focus(driver, element):
    driver.execute_script(f"document.getElementById('{element}').focus()")


@pytest.fixture
def screen(driver):
    """Set the size of the screen and what the reader prefers."""

    def set_to(width=1200, *, scheme="light", media=""):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": feature})

    set_to()
    return set_to


@pytest.fixture
def shows(driver, screen, tmp_path):
    """Open the page of a source, or an address, and wait until it is there."""

    def opened(source, **options):
        if not isinstance(source, str):
            source = write_report(source, tmp_path / "page.html", **options).as_uri()
        driver.get_log("browser")
        driver.get_log("performance")
        driver.get(source)
        until(driver, "document.body.dataset.started")
        frames(driver)
        return driver

    return opened


@pytest.fixture
def music(samples):
    return samples.notes.filter(task=MUSIC)


@pytest.fixture
def tune(table):
    """Two blue notes of 1 s and 2 s with a second between them, and an orange one, an octave higher, all along."""
    rows = [("a", "Flute", 60, 0.0, 1.0, 1.0, 0), ("a", "Flute", 60, 2.0, 4.0, 1.0, 0)]
    return table([*rows, ("a", "Oboe", 72, 0.0, 4.0, 1.0, 1)])


def faults(driver):
    return [line["message"] for line in driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


def requests(driver):
    messages = [json.loads(line["message"])["message"] for line in driver.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


# It loads


def test_from_a_file_it_loads_without_a_fault_and_asks_for_nothing_else(shows, samples):
    driver = shows(samples)
    assert faults(driver) == []
    assert [url for url in requests(driver) if not url.startswith("data:")] == [driver.current_url]


def test_over_http_only_the_page_itself_is_asked_for(shows, music, served):
    folder, address, asked = served
    write_report(music, folder / "served.html")
    driver = shows(f"{address}/served.html")
    click(driver, "play")
    until(driver, "document.getElementById('level').value > 0.01")
    assert asked == ["/served.html"]
    assert faults(driver) == []


def test_the_page_can_connect_to_nobody(shows, tune, served):
    folder, address, asked = served
    write_report(tune, folder / "served.html")
    driver = shows(f"{address}/served.html")
    said = driver.execute_async_script(
        f"fetch('{address}/x').then(() => arguments[0]('came'), (f) => arguments[0](f.name))"
    )
    assert (said, asked) == ("TypeError", ["/served.html"])


def test_notes_come_through_to_the_script_as_they_were(driver, samples, tmp_path):
    facts = gather(samples, tasks=[MUSIC])
    data = json.loads(re.search(r'id="data">(.*?)</script>', page_module.page(facts, title="t"), re.DOTALL)[1])
    script = (Path(page_module.__file__).parent / "static" / "data.js").read_text("utf-8")
    plain = json.dumps(data).replace("<", "\\u003c")
    page = f'<script type="application/json" id="data">{plain}</script><script>{script}</script>'
    (tmp_path / "data.html").write_text(f"<!doctype html><meta charset=utf-8>{page}", "utf-8")
    driver.get((tmp_path / "data.html").as_uri())
    columns = driver.execute_async_script(
        "unpack(page.tasks[0].notes_packed).then((n) => arguments[0]("
        "[n.track, n.start, n.end, n.pitch, n.velocity].map((column) => [...column])))"
    )
    expected = facts.notes.select(
        "track", "start", "end", "pitch", (pl.col("velocity").cast(pl.Float64) * 127).round().cast(pl.Int64)
    )
    got = sorted(zip(*columns, strict=True))
    for row, want in zip(got, sorted(expected.rows()), strict=True):
        assert row == pytest.approx(want, abs=0.0005 if data["tasks"][0]["notes_packed"]["rate"] == 1000 else 1e-9)


# It draws


def test_notes_are_drawn_where_they_are_in_time(shows, tune):
    columns, _ = shows(tune).execute_script(COLOURED, 24, 69, 251)
    gap = max(range(1, len(columns)), key=lambda k: columns[k] - columns[k - 1])
    begin, end, again, last = columns[0], columns[gap - 1] + 1, columns[gap], columns[-1] + 1
    second = (last - begin) / 4
    assert (end - begin) / second == pytest.approx(1, abs=0.02)
    assert (again - begin) / second == pytest.approx(2, abs=0.02)


def test_higher_notes_stand_higher(shows, tune):
    driver = shows(tune)
    low, high = driver.execute_script(COLOURED, 24, 69, 251)[1], driver.execute_script(COLOURED, 255, 94, 2)[1]
    height = low[0] - high[0]
    assert height / len(low) == pytest.approx(12, abs=2.5)  # an octave is twelve rows, each with a gap


def test_hovering_tells_the_note(shows, tune):
    driver = shows(tune)
    columns, rows = driver.execute_script(COLOURED, 24, 69, 251)
    point = {"type": "mouseMoved", "x": 0, "y": 0}
    box = driver.execute_script("const b = document.getElementById('over').getBoundingClientRect(); return [b.x, b.y]")
    point |= {"x": box[0] + columns[5], "y": box[1] + rows[len(rows) // 2]}
    driver.execute_cdp_cmd("Input.dispatchMouseEvent", point)
    until(driver, "!document.getElementById('tip').hidden")
    assert text_of(driver, "tip") == "C4 (60)\nFlute\n0.000 to 1.000 s (1.000 s)\nvelocity 1.00 (127 of 127)"


def test_zooming_shows_a_part_and_the_statements_follow(shows, tune):
    driver = shows(tune)
    assert "3 (0.8 per second)" in text_of(driver, "partly")
    click(driver, "in")
    click(driver, "in")
    frames(driver)
    assert "2 (2.0 per second)" in text_of(driver, "partly")  # the first second, where two begin
    click(driver, "fit")
    frames(driver)
    assert "3 (0.8 per second)" in text_of(driver, "partly")


def test_dragging_moves_what_is_shown(shows, music):
    driver = shows(music)
    before = text_of(driver, "partly")
    box = driver.execute_script("const b = document.getElementById('over').getBoundingClientRect(); return [b.x, b.y]")
    for kind, x in (("mousePressed", 600), ("mouseMoved", 500), ("mouseMoved", 300), ("mouseReleased", 300)):
        point = {"type": kind, "x": box[0] + x, "y": box[1] + 200, "button": "left", "buttons": 1, "clickCount": 1}
        driver.execute_cdp_cmd("Input.dispatchMouseEvent", point)
    frames(driver)
    assert before.startswith("Time0:00.0")
    assert float(re.match(r"Time0:(\d+\.\d)", text_of(driver, "partly"))[1]) == pytest.approx(300 / 22, abs=0.3)
    assert cursor(driver) == 0


def test_the_key_of_one_track_is_that_of_the_named_method(shows, music):
    driver = shows(music)
    click(driver, "fit")
    for nth, name in enumerate(["Electric Bass (pick)", "Electric Guitar (jazz)"]):
        driver.execute_script(f"document.querySelectorAll('#tracks li')[{nth}].querySelectorAll('button')[1].click()")
        frames(driver)
        expected = kn.key(music.filter(pl.col("instrument") == name), method="simple-weights")["key"][0]
        assert f"Key{expected}" in text_of(driver, "partly")
        driver.execute_script(f"document.querySelectorAll('#tracks li')[{nth}].querySelectorAll('button')[1].click()")


# It plays


def test_it_plays_and_pauses(shows, music):
    driver = shows(music)
    click(driver, "play")
    until(driver, "document.getElementById('level').value > 0.01")
    first = cursor(driver)
    until(driver, f"Number(document.getElementById('map').getAttribute('aria-valuenow')) > {first + 0.2}")
    click(driver, "play")
    stopped = cursor(driver)
    assert stopped > first
    assert cursor(driver) == stopped
    assert driver.execute_script("return document.getElementById('play').getAttribute('aria-label')") == "Play"


def test_what_is_muted_makes_no_sound(shows, tune):
    driver = shows(tune)
    for row in (0, 1):
        driver.execute_script(f"document.querySelectorAll('#tracks li')[{row}].querySelector('button').click()")
    script = "window.loudest = 0; new MutationObserver(() => { loudest = Math.max(loudest, level.value); })"
    driver.execute_script(f"{script}.observe(document.getElementById('level'), {{attributes: true}})")
    click(driver, "play")
    until(driver, "Number(document.getElementById('map').getAttribute('aria-valuenow')) > 0.6")
    assert driver.execute_script("return loudest") < 0.01
    click(driver, "play")
    focus(driver, "over")
    press(driver, "\ue011", "m", " ")
    until(driver, "document.getElementById('level').value > 0.02")


def test_solo_leaves_one_track(shows, music):
    driver = shows(music)
    driver.execute_script("document.querySelectorAll('#tracks li')[3].querySelectorAll('button')[1].click()")
    heard = driver.execute_script(
        "return [...document.querySelectorAll('#tracks li')].map((row) => !row.classList.contains('silent'))"
    )
    assert heard == [False, False, False, True]


def test_a_click_on_the_map_goes_there(shows, music):
    driver = shows(music)
    box = driver.execute_script(
        "const b = document.getElementById('map').getBoundingClientRect(); return [b.x, b.y, b.width]"
    )
    point = {"type": "mousePressed", "x": box[0] + box[2] / 2, "y": box[1] + 20, "button": "left", "clickCount": 1}
    driver.execute_cdp_cmd("Input.dispatchMouseEvent", point)
    driver.execute_cdp_cmd("Input.dispatchMouseEvent", point | {"type": "mouseReleased"})
    whole = music["end"].max() * 1.01
    assert cursor(driver) == pytest.approx(whole / 2, abs=0.3)


def test_a_loop_comes_back_to_its_start(shows, music):
    driver = shows(music)
    for _ in range(6):
        click(driver, "in")
    click(driver, "loop")
    assert driver.execute_script("return document.getElementById('loop').getAttribute('aria-pressed')") == "true"
    driver.execute_script(
        "const map = document.getElementById('map'); let last = 0; window.falls = 0;"
        " new MutationObserver(() => { const now = Number(map.getAttribute('aria-valuenow'));"
        " if (now < last) falls += 1; last = now; }).observe(map, {attributes: true})"
    )
    click(driver, "play")
    until(driver, "window.falls > 3")
    assert cursor(driver) < 1
    until(driver, "document.getElementById('level').value > 0.05")  # and it sounds each time


def test_at_the_end_it_stops(shows, table):
    driver = shows(table([("a", "Flute", 60, 0.0, 0.3, 1.0, 0)]))
    click(driver, "play")
    until(driver, "document.getElementById('said').textContent === 'the end'")
    assert cursor(driver) == pytest.approx(0.3)


# Keys and readers


def test_keys_play_move_zoom_and_mute(shows, music):
    driver = shows(music)
    focus(driver, "over")
    press(driver, "\ue010")
    assert cursor(driver) == pytest.approx(music["end"].max(), abs=0.01)
    press(driver, "\ue011")
    assert cursor(driver) == 0
    press(driver, "\ue014")
    assert cursor(driver) == pytest.approx(3.2, abs=0.3)  # a tenth of what is shown
    press(driver, "\ue015", "m")
    assert "FX 1 (rain)" not in text_of(driver, "said")
    assert text_of(driver, "said") == "Electric Guitar (jazz): muted"
    press(driver, "+")
    assert "Time0:0" in text_of(driver, "partly")
    press(driver, " ")
    until(driver, "document.getElementById('play').getAttribute('aria-label') === 'Pause'")
    press(driver, " ")
    until(driver, "document.getElementById('play').getAttribute('aria-label') === 'Play'")
    press(driver, "?")
    assert driver.execute_script("return document.getElementById('keys').open")
    press(driver, "\ue00c")
    assert not driver.execute_script("return document.getElementById('keys').open")


def test_enter_says_what_sounds(shows, tune):
    driver = shows(tune)
    focus(driver, "over")
    press(driver, "\ue007")
    assert text_of(driver, "said") == "0:00.0: Flute: C4; Oboe: C5"


def test_all_that_can_be_used_has_a_name_and_the_cursor_its_values(shows, samples):
    driver = shows(samples)
    nameless = driver.execute_script(
        "return [...document.querySelectorAll('button, input, select, [tabindex], [role]')].filter((each) => !("
        " each.textContent.trim() || each.getAttribute('aria-label') || each.getAttribute('aria-labelledby') ||"
        " each.closest('label') || ['said', 'tip', 'fault'].includes(each.id))).map((each) => each.outerHTML)"
    )
    assert nameless == []
    slider = driver.execute_script(
        "return ['role', 'aria-valuemin', 'aria-valuemax', 'aria-valuetext']"
        ".map((name) => document.getElementById('map').getAttribute(name))"
    )
    assert slider[:2] == ["slider", "0"]
    assert slider[3] == "0:00 of 5:25"


def test_on_a_phone_nothing_stands_out_at_the_side(shows, samples, screen):
    screen(400)
    driver = shows(samples)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 400


def test_the_dark_page_is_dark_all_over(shows, tune, screen):
    driver = shows(tune)
    corner = "return [...document.getElementById('roll').getContext('2d').getImageData(300, 60, 1, 1).data].slice(0, 3)"
    assert min(driver.execute_script(corner)) > 200
    screen(scheme="dark")
    frames(driver)
    assert max(driver.execute_script(corner)) < 60
    back = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", back))) < 60


def test_on_paper_there_are_no_buttons(shows, samples, screen):
    driver = shows(samples)
    screen(media="print", scheme="dark")
    shown = "return ['.bar', '.find', '#map'].map((each) => getComputedStyle(document.querySelector(each)).display)"
    assert driver.execute_script(shown) == ["none"] * 3
    assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_without_javascript_there_is_a_picture(driver, tune, tmp_path):
    written = write_report(tune, tmp_path / "page.html")
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(written.as_uri())
        from selenium.webdriver.common.by import By

        assert driver.find_element(By.CSS_SELECTOR, "noscript svg").is_displayed()
        assert len(driver.find_elements(By.CSS_SELECTOR, "noscript svg path")) == 2
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


# What is unusual


def test_hostile_names_are_text(shows, table):
    names = [HOSTILE, "\u202egnaw evil\u202e", "🎹🎷 很长的名字" * 8]
    notes = table([("a", name, 60 + k, 0.0, 1.0, 0.5, k) for k, name in enumerate(names)])
    driver = shows(notes, title=HOSTILE)
    labels = "return [...document.querySelectorAll('#tracks .label')].map((each) => each.textContent)"
    assert driver.execute_script(labels) == names
    assert driver.execute_script("return document.querySelectorAll('img, script:not([id])').length") == 2
    assert driver.title == HOSTILE
    assert faults(driver) == []


def test_hostile_ids_reasons_and_values_are_text(shows):
    notes = [{"pitch": pitch, "start": 0, "end": 1, "velocity": 0.5} for pitch in (60, HOSTILE)]
    taken = {"taskId": HOSTILE, "state": "complete", "instruments": [{"name": HOSTILE, "notes": notes}]}
    failed = {"taskId": "t2", "state": "failed", "errorMessage": HOSTILE}
    driver = shows(kn.flatten(map(kn.parse_record, [taken, failed])))
    assert text_of(driver, "name") == HOSTILE
    assert HOSTILE in text_of(driver, "more")
    focus(driver, "over")
    press(driver, "m")
    assert text_of(driver, "said") == f"{HOSTILE}: muted"
    click(driver, "next")
    assert HOSTILE in text_of(driver, "none")
    assert driver.execute_script("return document.querySelectorAll('img, script:not([id])').length") == 2
    assert faults(driver) == []


def test_a_task_without_notes_says_why(shows, samples):
    empty = samples.tasks.filter(state="empty")["task"].to_list()
    driver = shows(samples, tasks=empty)
    assert "found no notes" in text_of(driver, "none")
    assert driver.execute_script("return document.getElementById('play').disabled")
    assert faults(driver) == []


def test_an_empty_table_makes_a_page_without_a_player(shows, table):
    driver = shows(table([]))
    assert driver.execute_script("return document.getElementById('player').hidden")
    assert faults(driver) == []


def test_drums_alone_are_named_and_have_no_key(shows, table):
    driver = shows(table([("a", "Drums", key, k / 2, k / 2 + 0.1, 0.8, 0) for k, key in enumerate([36, 38, 27] * 8)]))
    assert "Keynone stands out" in text_of(driver, "partly")
    focus(driver, "over")
    press(driver, "\ue007")
    assert text_of(driver, "said") == "0:00.0: Drums: Bass Drum 1"
    click(driver, "play")
    until(driver, "document.getElementById('level').value > 0.01")


@pytest.fixture(scope="session")
def many(samples, tmp_path_factory):
    """The page of 300 tasks with 2,400 notes each: real music, one piece put after another."""
    parts = samples.notes.partition_by("task", maintain_order=True)
    pieces, ids = [], []
    for nth in range(300):
        some, at, of = [], 0.0, nth
        while sum(piece.height for piece in some) < 2400:
            piece = parts[of % len(parts)]
            some.append(piece.with_columns(pl.col("start", "end") + at, task=pl.lit(f"task {nth:03d}")))
            at, of = float(int(at + piece["end"].max()) + 1 + nth % 3), of + 1
        pieces.append(pl.concat(some).head(2400))
        ids.append(f"task {nth:03d}")
    notes = pl.concat(pieces).cast({"task": pl.Categorical}).select(NOTES_SCHEMA.names())
    facts = gather(samples.notes)  # what is said of the nine stands for all: descriptors are not what is timed here
    told = pl.concat([facts.tasks] * 34).head(300).with_columns(task=pl.Series(ids), name=pl.Series(ids))
    written = tmp_path_factory.mktemp("many") / "many.html"
    written.write_text(page_module.page(facts._replace(notes=notes, tasks=told), title="Many"), "utf-8")
    return written


def test_three_hundred_tasks_with_720000_notes_take_less_than_3_mb(many):
    assert many.stat().st_size < 3_000_000


def test_three_hundred_tasks_are_ready_within_two_seconds(shows, many):
    driver = shows(many.as_uri())
    assert driver.execute_script("return performance.getEntriesByName('first roll')[0].startTime") < 2000
    assert faults(driver) == []


def test_three_hundred_tasks_can_be_searched_and_sorted(shows, many):
    driver = shows(many.as_uri())
    assert driver.execute_script("return document.querySelectorAll('#list tbody tr').length") == 300
    search = (
        "const box = document.getElementById('search'); box.value = 'task 29'; box.dispatchEvent(new Event('input'))"
    )
    driver.execute_script(search)
    assert text_of(driver, "found") == "13 of 300 tasks"
    driver.execute_script("document.querySelectorAll('#list th button')[0].click()")
    driver.execute_script("document.querySelectorAll('#list th button')[0].click()")
    names = "return [...document.querySelectorAll('#list tbody .name')].map((each) => each.textContent)"
    assert driver.execute_script(names) == [f"task {nth:03d}" for nth in [*range(299, 289, -1), 229, 129, 29]]
    driver.execute_script("document.querySelector('#list tbody button').click()")
    until(driver, "document.getElementById('name').textContent === 'task 299'")


def test_a_store_shows_what_was_rejected_and_what_expires(shows, tmp_path):
    with kn.Store(tmp_path / "songs") as store:
        bad = [{"pitch": 300, "start": 0, "end": 1, "velocity": 0.5}]
        store.put({"state": "complete", "instruments": [{"name": "Flute", "notes": bad}]}, task="t1")
        store.add(["t2"])
        driver = shows(store)
    told = text_of(driver, "more")
    assert "Open, next to expire first (1)" in told
    assert "in 13 days" in told
    assert "expected a MIDI pitch from 0 to 127" in told


def test_the_player_runs_in_its_frame(driver, screen, tune, tmp_path):
    cell = tmp_path / "cell.html"
    cell.write_text(f"<!doctype html><meta charset=utf-8>{player(tune)._repr_html_()}", "utf-8")
    driver.get(cell.as_uri())
    driver.switch_to.frame(0)
    try:
        until(driver, "document.body && document.body.dataset.started")
        frames(driver)
        assert driver.execute_script(COLOURED, 24, 69, 251)[0]
        click(driver, "play")
        until(driver, "document.getElementById('level').value > 0.01")
    finally:
        driver.switch_to.default_content()
