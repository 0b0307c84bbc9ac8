"""People and keys in a browser: creation, use, removal, and changing one's own password."""

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
    page.fill("[data-part=login]", login)
    page.fill("[data-part=key]", password)
    page.click("[data-panel=signin] button")


def remove_people(client):
    """The service is shared: other files' tests add people."""
    for person in client.call("GET", "/api/v1/people").json():
        client.call("DELETE", f"/api/v1/people/{person['id']}")


def test_key_is_shown_once_works_and_is_revoked(page, service):
    page.get_by_role("link", name="People and keys").click()
    expect(row(page, "administrator")).to_have_count(1)
    page.get_by_label("Purpose").fill("the LIMS of ward 3")
    page.locator("[data-part=key-role]").select_option("analyst")
    page.locator("[data-part=scopes]").get_by_label("upload slides").check()
    page.get_by_role("button", name="Create key").click()
    expect(row(page, "the LIMS of ward 3")).to_contain_text("upload slides only")
    key = page.locator("[data-part=secret-text]").inner_text()
    expect(page.locator("[data-part=key-role]")).to_have_value("analyst")
    assert role_of(service, key) == "analyst"
    page.reload()
    expect(row(page, "the LIMS of ward 3")).to_be_visible()
    assert key not in page.content(), "it was shown once"
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke the LIMS of ward 3").click()
    expect(row(page, "the LIMS of ward 3")).to_contain_text("revoked")
    expect(row(page, "the LIMS of ward 3").get_by_role("button")).to_have_count(0)
    assert role_of(service, key) == 401


def test_a_person_is_added_changes_the_password_and_is_removed(page, chromium, service):
    chromium.expect_errors(r"status of 422 .*/api/v1/people$", r"status of 4\d\d .*/password$")
    remove_people(service.client())
    page.goto(f"{service.url}/people")
    expect(page.locator("[data-part=no-people]")).to_be_visible()
    page.locator("[data-part=add]").get_by_label("Name").fill("mia")
    page.get_by_label("First password").fill("mia mia mia mia")
    page.get_by_role("button", name="Add person").click()
    expect(page.locator("[data-part=error]")).to_contain_text("That did not work: the password contains the name")
    page.get_by_label("First password").fill(SENTENCE)
    page.get_by_role("button", name="Add person").click()
    expect(row(page, "mia")).to_contain_text("Analyst: upload and analyse")
    expect(page.locator("[data-part=error]")).to_be_hidden()
    mias = chromium.new_page()
    mias.goto(service.url)
    sign_in(mias, "mia", SENTENCE)
    mias.get_by_role("link", name="Your password").click()
    expect(mias.locator("[data-panel=people]")).to_be_hidden()
    mias.get_by_label("Current password").fill(OTHER)
    mias.locator("[data-part=new]").fill(OTHER)
    mias.get_by_role("button", name="Change password").click()
    expect(mias.locator("[data-part=error]")).to_contain_text("the current password is wrong")
    mias.get_by_label("Current password").fill(SENTENCE)
    mias.get_by_role("button", name="Change password").click()
    expect(mias.locator("[data-panel=signin]")).to_be_visible()
    sign_in(mias, "mia", OTHER)
    expect(mias.locator("[data-panel=worklist]")).to_be_visible()
    page.get_by_role("button", name="Set a password for mia").click()
    page.locator("[data-part=reset-password]").fill("mia mia mia mia")
    page.get_by_role("button", name="Set password", exact=True).click()
    expect(page.locator("[data-part=reset-error]")).to_contain_text("the password contains the name")
    page.locator("[data-part=reset-password]").fill(SENTENCE)
    page.get_by_role("button", name="Set password", exact=True).click()
    expect(page.locator("[data-part=reset]")).to_be_hidden()
    expect(page.locator("[data-part=done]")).to_have_text("mia has a new password.")
    mias.reload()
    expect(mias.locator("[data-panel=signin]")).to_be_visible()
    sign_in(mias, "mia", SENTENCE)
    expect(mias.locator("[data-panel=worklist]")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove mia").click()
    expect(page.locator("[data-part=no-people]")).to_be_visible()
    mias.reload()
    expect(mias.locator("[data-panel=signin]")).to_be_visible()


def test_audit_page_shows_tampering(page, service):
    page.goto(f"{service.url}/people")
    page.locator("[data-part=audit] summary").click()
    expect(page.locator("[data-part=chain]")).to_have_text(
        "Every row is as it was written. "
        "Rows cut off at the end are found only with a stored seal (python -m admin audit --seal)."
    )
    rows = page.locator("[data-part=audited] tr")
    expect(rows.first).to_contain_text("administrator")
    assert "session.open" in page.locator("[data-part=audited]").inner_text()
    ((number,),) = service.rows("SELECT max(number) FROM audit")
    service.change("UPDATE audit SET who = 'somebody else' WHERE number = :number", number=number)
    page.reload()
    page.locator("[data-part=audit] summary").click()
    expect(page.locator("[data-part=chain]")).to_contain_text(f"row {number} is missing or was changed")
