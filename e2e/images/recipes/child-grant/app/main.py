"""Child grant, a sample public service of the sample country in examples/journey: pages, and who is signed in."""

import secrets
import uuid

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route
from starlette.templating import Jinja2Templates

import application
import sign_in
from steps import SIGN_IN, StepFailed

pages = Jinja2Templates(directory="templates")
# Who is signed in, by session. Gone with the process, and people sign in once more.
people: dict[str, sign_in.SignedIn] = {}


def who(request: Request) -> sign_in.SignedIn:
    signed_in = people.get(request.session.get("id", ""))
    if signed_in is None:
        raise StepFailed(SIGN_IN, "nobody is signed in")
    return signed_in


async def welcome(request: Request):
    if request.session.get("id") in people:
        return RedirectResponse("/application", 303)
    return pages.TemplateResponse(request, "welcome.html")


async def go_to_sign_in(request: Request):
    # The gateway ends TLS: what people's browsers call is what the provider may send them back to.
    back = str(request.url_for("come_back").replace(scheme="https"))
    return await sign_in.begin(request, back)


async def come_back(request: Request):
    signed_in = await sign_in.end(request)
    request.session["id"] = secrets.token_urlsafe()
    people[request.session["id"]] = signed_in
    return RedirectResponse("/application", 303)


async def show(request: Request):
    person = who(request).person
    if not await application.has_consented(person):
        return pages.TemplateResponse(request, "consent.html", {"purpose": application.PURPOSE})
    known = {
        "record": await application.record_of(person),
        # Made with the page: who presses twice is paid once.
        "number": str(uuid.uuid4()),
        "amount": application.AMOUNT,
    }
    return pages.TemplateResponse(request, "application.html", known)


async def apply(request: Request):
    signed_in = who(request)
    form = await request.form()
    number = str(uuid.UUID(form["number"]))
    paid = await application.apply(number, signed_in.person, await signed_in.token())
    return pages.TemplateResponse(request, "paid.html", {"paid": paid})


async def agree(request: Request):
    person = who(request).person
    await application.consent(person, "given")
    return RedirectResponse("/application", 303)


async def withdraw(request: Request):
    person = who(request).person
    await application.consent(person, "withdrawn")
    return RedirectResponse("/application", 303)


async def health(_: Request):
    return PlainTextResponse("ok")


async def failed(request: Request, error: StepFailed):
    return pages.TemplateResponse(request, "failed.html", {"step": error.step, "why": error.why}, status_code=502)


service = Starlette(
    routes=[
        Route("/", welcome),
        Route("/sign-in", go_to_sign_in),
        Route("/back", come_back),
        Route("/application", show),
        Route("/application", apply, methods=["POST"]),
        Route("/consent", agree, methods=["POST"]),
        Route("/withdrawal", withdraw, methods=["POST"]),
        Route("/healthz", health),
    ],
    # Cookies are signed with a key that lives as long as the process does. Lax: other sites cannot make a person apply.
    middleware=[
        Middleware(SessionMiddleware, secret_key=secrets.token_hex(32), same_site="lax", https_only=True)
    ],
    exception_handlers={StepFailed: failed},
)
