"""The store and a panel's life, as modules in a page without a service."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
FRONTEND = Path(__file__).resolve().parents[2] / "frontend"


@pytest.fixture
def modules(chromium):
    """An empty page that serves the frontend's modules from their folder."""
    page = chromium.new_page()
    page.route("http://frontend.test/", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.route(
        "http://frontend.test/static/**",
        lambda route: route.fulfill(path=FRONTEND / route.request.url.removeprefix("http://frontend.test/")),
    )
    page.goto("http://frontend.test/")
    return page


def test_a_watcher_is_called_once_for_each_change(modules):
    calls = modules.evaluate("""async () => {
        const { createStore } = await import("/static/shared/store.js");
        const store = createStore({ a: 1, b: 1 }), calls = [];
        store.watch((state) => state.a, (a) => calls.push(a), new AbortController().signal);
        store.set({ b: 2 });
        store.set({ a: 2 });
        store.set({ a: 2 });
        store.set({ a: NaN });
        store.set({ a: NaN });
        return [...calls.map(String), store.get().b];
    }""")
    assert calls == ["1", "2", "NaN", 2]


def test_the_signal_of_a_value_aborts_with_its_change(modules):
    log = modules.evaluate("""async () => {
        const { createStore } = await import("/static/shared/store.js");
        const store = createStore({ a: 1 }), log = [], life = new AbortController();
        const listener = (a, current) => current.addEventListener("abort", () => log.push(a));
        store.watch((state) => state.a, listener, life.signal);
        store.set({ a: 2 });
        log.push("changed");
        life.abort();
        store.set({ a: 3 });
        store.watch((state) => state.a, () => log.push("late"), life.signal);
        return log;
    }""")
    assert log == [1, "changed", 2]


def test_a_listener_may_set_the_state_and_end_another(modules):
    log = modules.evaluate("""async () => {
        const { createStore } = await import("/static/shared/store.js");
        const store = createStore({ a: 0, double: 0 }), log = [], other = new AbortController();
        store.watch((state) => state.a, (a) => { if (a === 2) other.abort(); store.set({ double: 2 * a }); },
            new AbortController().signal);
        store.watch((state) => state.a, (a) => log.push(`a ${a}`), other.signal);
        store.watch((state) => state.double, (value) => log.push(`double ${value}`), new AbortController().signal);
        store.set({ a: 1 });
        store.set({ a: 2 });
        return log;
    }""")
    assert log == ["a 0", "double 0", "a 1", "double 2", "double 4"]


def test_a_panel_ends_with_unmount_and_mounts_again(modules):
    log = modules.evaluate("""async () => {
        const { createStore } = await import("/static/shared/store.js");
        const { panel } = await import("/static/shared/panel.js");
        const log = [], store = createStore({ a: 1 });
        const [one, two] = [document.createElement("b"), document.createElement("i")];
        const { mount, unmount } = panel((host, store, life) => {
            host.addEventListener("click", () => log.push(`${host.localName} click`), { signal: life });
            store.watch((state) => state.a, (a) => log.push(`${host.localName} ${a}`), life);
        });
        mount(one, store); mount(two, store);
        unmount(one);
        store.set({ a: 2 });
        one.click(); two.click();
        mount(one, store);
        mount(one, store);
        one.click();
        unmount(one); unmount(one); unmount(two);
        one.click();
        return log;
    }""")
    assert log == ["b 1", "i 1", "i 2", "i click", "b 2", "b 2", "b click"]


def test_a_repeated_action_waits_for_its_end_and_stops_with_the_life(modules):
    log = modules.evaluate("""async () => {
        const { repeat } = await import("/static/shared/panel.js");
        const log = [], life = new AbortController(), pause = (ms) => new Promise((done) => setTimeout(done, ms));
        const again = repeat(async () => { log.push("run"); return 30; }, life.signal);
        await pause(150);
        const before = log.length;
        again();
        const after = log.length;
        life.abort();
        await pause(150);
        return [before >= 2, after - before, log.length - after];
    }""")
    assert log == [True, 1, 0]


def test_a_newer_call_of_a_repeated_action_ends_the_older_one(modules):
    """Otherwise a late answer is drawn over a newer one."""
    aborted = modules.evaluate("""async () => {
        const { repeat } = await import("/static/shared/panel.js");
        const signals = [], life = new AbortController();
        const action = async (signal) => { signals.push(signal); await new Promise(() => undefined); };
        const again = repeat(action, life.signal);
        again();
        const before = signals.map((signal) => signal.aborted);
        life.abort();
        again();
        return [before, signals.map((signal) => signal.aborted)];
    }""")
    assert aborted == [[True, False], [True, True]]
