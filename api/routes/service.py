"""The service itself: models, health, readiness, metrics."""

from fastapi import APIRouter, Request, Response

from api import metrics
from api.contract import problems
from api.contract.entity_tags import tag_of
from api.contract.service import Health, ModelCard, ModelsOut, Readiness
from api.request.transactions import Read
from api.request.visitor import Visitor
from core.analyses import cards
from core.settings import get_settings
from core.upkeep import gauges

router = APIRouter(tags=["service"])
api_router = APIRouter(tags=["service"])


@api_router.get("/models")
def list_models(session: Read, _: Visitor, response: Response) -> ModelsOut:
    """Returns the networks that live workers can run, none when no worker is up, and the default."""
    models = [ModelCard.from_worker(worker) for worker in cards.models(session)]
    answer = ModelsOut(models=models, default=get_settings().model)
    # Weak: `seen_at` moves with every heartbeat, which is no change to a client that has the cards.
    lasting = answer.model_dump_json(exclude={"models": {"__all__": {"seen_at"}}})
    response.headers["ETag"] = f"W/{tag_of(lasting.encode())}"
    return answer


@router.get("/healthz")
async def get_health() -> Health:
    """The process answers."""
    return Health()


@router.get("/readyz")
async def get_readiness(request: Request, response: Response) -> Readiness:
    """Whether work can be accepted: database, broker and disk. 503 where not. Probed once a second at most."""
    readiness: Readiness = await request.app.state.readiness.get()
    if not readiness.ready:
        response.status_code = 503
        response.headers.update(problems.HEADERS[503])
    return readiness


@router.get("/metrics", response_class=Response)
def get_metrics(session: Read, _: Visitor) -> Response:
    """Prometheus' text format. Needs a key like any other call."""
    return Response(metrics.exposition(gauges.gauges(session)), media_type=metrics.CONTENT_TYPE)
