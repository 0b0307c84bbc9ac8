"""People and keys in a real browser: made, used, shut out; and a person's own password."""

import httpx2 as httpx
import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.services]
SENTENCE, OTHER = "four mild turnips dancing", "five brisk herons sleeping"


def row(page, name):
    return page.locator(f"tr:has(td:first-child:text-is('{name}'))")


def role_of(service, key):
    answer = httpx.get(f"{service.url}/api/v1/session", headers={"Authorization": f"Bearer {key}"})
    return answer.json()["role"] if answer.status_code == 200 else answer.status_code


def sign_in(page, login, password):
    page.fill("#login", login)
    page.fill("#key", password)
    page.click("#sign-in button")


def test_a_key_is_shown_once_works_and_is_revoked(page, service):
    page.get_by_role("link", name="People and keys").click()
    expect(page.locator("#keys tr")).to_have_count(1)
    page.get_by_label("What it is for").fill("the LIMS of ward 3")
    page.locator("#key-role").select_option("analyst")
    page.locator("#scopes").get_by_label("send slides").check()
    page.get_by_role("button", name="Make a key").click()
    expect(row(page, "the LIMS of ward 3")).to_contain_text("send slides only")
    key = page.locator("#secret-text").inner_text()
    expect(page.locator("#key-role")).to_have_value("analyst")
    assert role_of(service, key) == "analyst"
    page.reload()
    expect(row(page, "the LIMS of ward 3")).to_be_visible()
    assert key not in page.content(), "it was shown once"
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke the LIMS of ward 3").click()
    expect(row(page, "the LIMS of ward 3")).to_contain_text("revoked")
    expect(row(page, "the LIMS of ward 3").get_by_role("button")).to_have_count(0)
    assert role_of(service, key) == 401


def test_a_person_is_added_changes_the_password_and_is_removed(page, service):
    page.goto(f"{service.url}/people")
    expect(page.locator("#nobody")).to_be_visible()
    page.locator("#add").get_by_label("Name").fill("mia")
    page.get_by_label("First password").fill("mia mia mia mia")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#error")).to_contain_text("That did not work: the password is the name")
    page.get_by_label("First password").fill(SENTENCE)
    page.get_by_role("button", name="Add").click()
    expect(row(page, "mia")).to_contain_text("look, send and analyse")
    expect(page.locator("#error")).to_be_hidden()
    mias = page.context.browser.new_page()
    mias.goto(service.url)
    sign_in(mias, "mia", SENTENCE)
    mias.get_by_role("link", name="Your password").click()
    expect(mias.locator("#administration")).to_be_hidden()
    mias.get_by_label("Password so far").fill(OTHER)
    mias.locator("#new").fill(OTHER)
    mias.get_by_role("button", name="Change").click()
    expect(mias.locator("#error")).to_contain_text("your password so far is another")
    mias.get_by_label("Password so far").fill(SENTENCE)
    mias.get_by_role("button", name="Change").click()
    expect(mias.locator("#sign-in")).to_be_visible()
    sign_in(mias, "mia", OTHER)
    expect(mias.locator("#content")).to_be_visible()
    page.get_by_role("button", name="Set a password for mia").click()
    page.locator("#reset-password").fill("mia mia mia mia")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator("#reset-error")).to_contain_text("the password is the name")
    page.locator("#reset-password").fill(SENTENCE)
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator("#reset")).to_be_hidden()
    expect(page.locator("#done")).to_have_text("mia has a new password.")
    mias.reload()
    expect(mias.locator("#sign-in")).to_be_visible()
    sign_in(mias, "mia", SENTENCE)
    expect(mias.locator("#content")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove mia").click()
    expect(page.locator("#nobody")).to_be_visible()
    mias.reload()
    expect(mias.locator("#sign-in")).to_be_visible()


def test_the_audit_is_shown_and_told_when_it_was_tampered_with(page, service):
    page.goto(f"{service.url}/people")
    page.locator("#audit summary").click()
    expect(page.locator("#chain")).to_have_text("Every row stands as it was written.")
    rows = page.locator("#audited tr")
    expect(rows.first).to_contain_text("administrator")
    assert "session.open" in page.locator("#audited").inner_text()
    ((number,),) = service.rows("SELECT max(number) FROM audit")
    service.change("UPDATE audit SET who = 'somebody else' WHERE number = :number", number=number)
    page.reload()
    page.locator("#audit summary").click()
    expect(page.locator("#chain")).to_contain_text(f"Row {number} is missing or was changed")
