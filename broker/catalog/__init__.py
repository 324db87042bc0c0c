"""What can be asked for: models by slug, each with the endpoints that serve it and their prices.

In reading order: `models`, `names` (one slug wherever a model is served), `families` (abilities),
`policies` (of vendors), `retirements` (and the APIs that serve models), `priced` (genai-prices),
`declared` (waybill.toml), `latest`, `suggestions`, `lookup` (the catalog itself), `assembly` (how
it is put together), `selection` (listings of it), `fit` (how well a model does what); `models_dev`
and `discovered` (lists of others), `changes` (what an import would change), `applied` (imports as
stored), `live` (the catalog of a running process).
"""

from broker.catalog.assembly import load
from broker.catalog.fit import task_fit
from broker.catalog.live import LiveCatalog
from broker.catalog.lookup import FREE, LATEST, Catalog
from broker.catalog.models import Model, Offer

__all__ = ["FREE", "LATEST", "Catalog", "LiveCatalog", "Model", "Offer", "load", "task_fit"]
