# SPDX-License-Identifier: Apache-2.0
"""The viewer in a real browser: hostile payloads stay inert, logins work, other sites get nothing."""

import gzip
import html
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from otel_qtap.objectstore.filesystem import FilesystemStore
from tests.support.browser import OTHER_SITE, Browser, running_browser
from tests.support.cleared import exchange
from tests.support.pages import serving_page
from tests.support.payload_store import answering, posting, store_exchanges
from tests.support.viewer import Viewer, running_viewer
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

TOKEN = "0123456789abcdef-of-a-test"
# Each sets window.ran, opens a dialog or asks the network for something, should it be more than text.
ATTACKS = (
    "<script>window.ran='script';document.title='ran'</script>"
    "<img src=//127.0.0.1:9/x onerror=\"window.ran='img';alert(1)\">"
    "<svg onload=\"window.ran='svg'\"><style>*{display:none}</style></svg>"
    "<iframe srcdoc=\"<script>parent.ran='frame'</script>\"></iframe>"
    '<a id=bait href="javascript:window.ran=1">x</a><base href=//127.0.0.1:9/>'
    '<meta http-equiv=refresh content="0;url=//127.0.0.1:9/">'
    "'\"></code></pre></title></textarea><!-- --><details open ontoggle=\"window.ran='details'\"></details>"
    "<link rel=stylesheet href=//127.0.0.1:9/c.css>"
    "<form action=//127.0.0.1:9/><input autofocus onfocus=\"window.ran='focus'\"></form>"
)
TERMINAL = "\x1b[2J\x1b]0;title\x07\x1b[31mred\x9b0m\r\x08\0\u202eltr\u2066\u200b\ufeff"
HOSTILE = ATTACKS + TERMINAL
LONG_LINE = "z" * (5 << 20)
GIF = b"GIF89a\x01\0\x01\0\0\0\0;" + ATTACKS.encode()

CANARIES = {
    "html": answering(
        "text/html", f"{HOSTILE}\n{LONG_LINE}\nlast".encode(), f"X-Evil: {ATTACKS}", f"{ATTACKS}: x"
    ),
    "svg": answering("image/svg+xml", f'<svg xmlns="http://www.w3.org/2000/svg">{HOSTILE}</svg>'.encode()),
    "json": answering(
        f"application/json;{ATTACKS}",
        gzip.compress(f'{{"{ATTACKS.replace(chr(34), chr(39))}":"{LONG_LINE}","x":[1]}}{HOSTILE}'.encode()),
        encoding="gzip",
    ),
    "form": answering(
        "application/x-www-form-urlencoded", f"a={HOSTILE}&{HOSTILE}={quote(HOSTILE)}".encode()
    ),
    "parts": answering(
        "multipart/form-data; boundary=X",
        f'--X\r\nContent-Disposition: form-data; name="{ATTACKS}"\r\n\r\n{HOSTILE}\r\n--X--\r\n'.encode(),
    ),
    "gif": answering("text/html", GIF),
    "bytes": answering("text/javascript", HOSTILE.encode() + bytes(range(256)) * 4),
    "coding": answering("text/html", HOSTILE.encode(), encoding="<script>"),
}  # fmt: skip


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """References to the canaries by name; ``store`` is the store's URL."""
    directory = tmp_path_factory.mktemp("canaries")
    url = f"file://{directory}/objects"
    evil_request = posting("text/plain", b"question", f"Cookie: {ATTACKS}")
    evil_request.head = evil_request.head.replace(b"/v1/orders", ATTACKS.replace(" ", "\t").encode(), 1)
    records = store_exchanges(
        FilesystemStore(url),
        directory / "state",
        *(exchange(evil_request, answer) for answer in CANARIES.values()),
    )
    for path in (directory / "objects", *(directory / "objects").rglob("*")):
        os.chown(path, 60913, 60913)
    uris = {
        name: record.request_ref.uri
        for name, record in zip(CANARIES, records, strict=True)
        if record.request_ref
    }
    return {**uris, "store": url}


@pytest.fixture(scope="module")
def viewer(references: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    settings = {
        "OTEL_QTAP_OBJECTS_URL": references["store"],
        "OTEL_QTAP_SERVE_TOKEN": TOKEN,
        "OTEL_QTAP_PIPELINE_USER": "60913",
    }
    with running_viewer(tmp_path_factory.mktemp("viewer"), settings) as viewer:
        yield viewer


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def stranger(started: Browser) -> Browser:
    """A browser that is not logged in, and whose logs are empty."""
    started.open("about:blank")
    started.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    started.emulate()
    started.requested()
    started.complaints()
    return started


@pytest.fixture
def browser(stranger: Browser, viewer: Viewer) -> Browser:
    """A browser that is logged in."""
    stranger.open(f"{viewer.url}/login?token={TOKEN}")
    assert stranger.driver.current_url == f"{viewer.url}/"
    return stranger


def page(viewer: Viewer, uri: str, **parameters: str) -> str:
    more = "".join(f"&{name}={value}" for name, value in parameters.items())
    return f"{viewer.url}/payload?uri={quote(uri, safe='')}{more}"


def test_the_canary_bites_where_it_is_not_held(stranger: Browser) -> None:
    with serving_page(f"<!doctype html><body>{ATTACKS}") as port:
        stranger.open(f"http://127.0.0.1:{port}/")
        assert stranger.has_dialog() or stranger.evaluate("window.ran")
        eventually(
            lambda: any(":9/" in url for url in stranger.requested()), "it asks the network for something"
        )


def assert_inert(browser: Browser, viewer: Viewer) -> None:
    assert not browser.has_dialog()
    assert browser.evaluate("window.ran") is None
    assert browser.driver.title.startswith("Payload ")
    assert browser.evaluate("document.scripts.length") == 0
    assert browser.evaluate("document.querySelectorAll('iframe,svg,style,base,object,embed').length") == 0
    assert browser.evaluate("document.getElementById('bait')") is None
    own = urlsplit(viewer.url).netloc
    assert {urlsplit(url).netloc for url in browser.requested()} == {own}
    assert browser.evaluate("[...document.links].every(link => link.origin === location.origin)")
    assert browser.evaluate(
        "[...document.forms].every(form => form.action.startsWith(location.origin + '/'))"
    )
    # Nothing was even tried: the policy is the second line of defence, and was not needed.
    assert browser.complaints() == []


@pytest.mark.parametrize("name", CANARIES)
def test_hostile_payloads_are_shown_inert(
    browser: Browser, viewer: Viewer, references: Mapping[str, str], name: str
) -> None:
    browser.open(page(viewer, references[name]))
    assert_inert(browser, viewer)
    views = browser.driver.find_elements(By.CSS_SELECTOR, "#response .views a:not(.download)")
    for address in [view.get_attribute("href") for view in views]:
        assert address
        browser.open(address)
        assert_inert(browser, viewer)
    assert browser.evaluate("document.body.innerText").count("<script>") >= 2, "it is there, as text"


def test_what_cannot_be_printed_is_a_symbol(
    browser: Browser, viewer: Viewer, references: Mapping[str, str]
) -> None:
    browser.open(page(viewer, references["html"], part="response", view="text"))
    shown = str(browser.evaluate("document.querySelector('#response .lines').textContent"))
    for symbol in ("[ESC][31mred", "[BEL]", "[U+202E]ltr", "[U+009B]", "[NUL]", "[U+200B]", "[U+FEFF]"):
        assert symbol in shown
    assert not set("\x1b\x07\x08\0\x9b\u202e\u2066\u200b\ufeff\r") & set(shown)


def test_a_line_of_megabytes_is_cut_and_its_rest_is_a_click_away(
    browser: Browser, viewer: Viewer, references: Mapping[str, str]
) -> None:
    browser.open(page(viewer, references["html"], part="response", view="text"))
    assert len(str(browser.evaluate("document.documentElement.outerHTML"))) < 100_000
    browser.driver.find_elements(By.CSS_SELECTOR, "#response .rest")[-1].click()
    assert "offset=" in browser.driver.current_url
    assert len(str(browser.evaluate("document.querySelector('#response .lines').textContent"))) > 60_000
    browser.driver.find_element(By.CSS_SELECTOR, "#response a[rel=next]").click()
    assert "zzzzz" in str(browser.evaluate("document.querySelector('#response .lines').textContent"))


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(
    browser: Browser, viewer: Viewer, references: Mapping[str, str], width: int
) -> None:
    browser.emulate(width=width)
    for name in ("html", "json", "parts", "bytes"):
        browser.open(page(viewer, references[name]))
        screen = browser.evaluate("document.documentElement.clientWidth")
        assert browser.evaluate("document.documentElement.scrollWidth") == screen, name


def test_a_picture_that_is_also_a_page_is_a_picture(
    browser: Browser, viewer: Viewer, references: Mapping[str, str]
) -> None:
    browser.open(page(viewer, references["gif"]))
    source = browser.driver.find_element(By.CSS_SELECTOR, "#response img").get_attribute("src")
    assert source
    assert browser.evaluate("document.images[0].complete")
    browser.open(source)
    assert browser.evaluate("document.contentType") == "image/gif"
    assert browser.evaluate("window.ran") is None
    assert not browser.has_dialog()


@pytest.mark.parametrize("name", ["html", "svg"])
def test_a_body_is_saved_and_never_opened(
    browser: Browser, viewer: Viewer, references: Mapping[str, str], name: str
) -> None:
    browser.open(page(viewer, references[name]))
    before = browser.driver.current_url
    known = set(browser.downloads.iterdir())
    browser.driver.find_element(By.CSS_SELECTOR, "#response .download").click()

    def saved() -> list[Path]:
        return [path for path in browser.downloads.iterdir() if path not in known and path.suffix == ".bin"]

    (file,) = eventually(saved, "the body was saved", seconds=20)
    assert file.read_bytes() == CANARIES[name].body
    assert browser.driver.current_url == before
    assert browser.evaluate("window.ran") is None


def test_a_click_on_another_site_leads_through_the_login_to_the_payload(
    stranger: Browser, viewer: Viewer, references: Mapping[str, str]
) -> None:
    target = page(viewer, references["html"], part="response", view="hex")
    href = f'href="{html.escape(target)}"'
    link = f"<a id=same {href}>payload</a> <a id=new target=_blank {href}>payload</a>"
    with serving_page(f"<!doctype html><title>trace view</title>{link}") as port:
        trace_view = f"http://{OTHER_SITE}:{port}/"
        stranger.open(trace_view)
        stranger.driver.find_element(By.ID, "same").click()
        assert stranger.driver.title.startswith("Log in")
        assert "question" not in stranger.driver.page_source

        stranger.driver.find_element(By.NAME, "token").send_keys("wrong token" + Keys.ENTER)
        eventually(lambda: "not the token" in stranger.driver.page_source, "a wrong token is refused")
        assert stranger.driver.title.startswith("Log in")

        stranger.driver.find_element(By.NAME, "token").send_keys(TOKEN + Keys.ENTER)
        eventually(lambda: stranger.driver.title.startswith("Payload "), "the login leads to the payload")
        assert "view=hex" in stranger.driver.current_url
        assert TOKEN not in stranger.driver.current_url
        (cookie,) = stranger.driver.get_cookies()
        assert cookie["httpOnly"] is True
        assert cookie["sameSite"] == "Lax"

        # The next click needs no login, though it comes from another site; in a new tab as well.
        stranger.open(trace_view)
        stranger.driver.find_element(By.ID, "same").click()
        assert stranger.driver.title.startswith("Payload ")
        stranger.open(trace_view)
        first = stranger.driver.current_window_handle
        stranger.driver.find_element(By.ID, "new").click()
        eventually(lambda: len(stranger.driver.window_handles) == 2, "a new tab opens")
        stranger.driver.switch_to.window(next(w for w in stranger.driver.window_handles if w != first))
        eventually(lambda: stranger.driver.title.startswith("Payload "), "it shows the payload")
        assert stranger.evaluate("window.opener") is None
        stranger.driver.close()
        stranger.driver.switch_to.window(first)

        stranger.open(f"{viewer.url}/")
        stranger.driver.find_element(By.CSS_SELECTOR, ".banner button").click()
        eventually(lambda: stranger.driver.title.startswith("Log in"), "logging out ends the session")
        assert stranger.driver.get_cookies() == []


def test_another_sites_page_gets_nothing(
    browser: Browser, viewer: Viewer, references: Mapping[str, str]
) -> None:
    target = html.escape(page(viewer, references["html"]))
    picture = html.escape(
        page(viewer, references["gif"], part="response").replace("/payload?", "/payload/image?")
    )
    markup = (
        f'<!doctype html><title>other</title><iframe id=f src="{target}"></iframe>'
        f'<img id=i src="{picture}" onload="window.loaded=\'picture\'" onerror="window.failed=\'picture\'">'
        f'<script src="{target}" onload="window.loaded=\'script\'"></script>'
        f"<script>fetch('{target}', {{credentials: 'include', mode: 'no-cors'}})"
        ".then(() => window.loaded = 'fetch', () => window.fetchFailed = true)</script>"
    )
    with serving_page(markup) as port:
        # The same host on another port is the same site: the cookie travels, and the viewer has to refuse.
        for host in (OTHER_SITE, "127.0.0.1"):
            browser.open(f"http://{host}:{port}/")
            eventually(lambda: browser.evaluate("window.failed && window.fetchFailed"), "all of it failed")
            assert browser.evaluate("window.loaded") is None
            browser.driver.switch_to.frame("f")
            assert "question" not in browser.driver.page_source
            browser.driver.switch_to.default_content()


def test_it_is_light_or_dark_as_the_reader_likes(
    browser: Browser, viewer: Viewer, references: Mapping[str, str]
) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        browser.emulate(scheme=scheme)
        browser.open(page(viewer, references["html"]))
        grounds.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]


def test_the_keyboard_reaches_everything(
    browser: Browser, viewer: Viewer, references: Mapping[str, str]
) -> None:
    browser.open(page(viewer, references["form"]))
    reached = []
    for _ in range(30):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.evaluate("document.activeElement.textContent"))
    assert reached[0] == "Skip to the content"
    assert {"Request", "Response", "Form", "Text", "Hex", "Download", "Stored record"} <= set(reached)


def test_problems_are_pages(browser: Browser, viewer: Viewer, references: Mapping[str, str]) -> None:
    for uri, title in (
        ("file:///etc/passwd#bytes=0-99", "This reference leads out of the store"),
        (f"{references['store']}/../secret.warc.gz#bytes=0-99", "This reference leads out of the store"),
        (f"{references['store']}/absent.warc.gz#bytes=0-99", "This payload is not in the store"),
        ("<script>window.ran=1</script>", "This is not a payload reference"),
    ):
        browser.open(page(viewer, uri))
        assert browser.driver.find_element(By.TAG_NAME, "h1").text == title
        assert browser.evaluate("window.ran") is None
