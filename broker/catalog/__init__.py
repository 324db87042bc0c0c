"""What can be asked for: models by slug, each with the endpoints that serve it and their prices.

In reading order: `models`, `names` (one slug wherever a model is served), `families` (abilities),
`policies` (of vendors), `priced` (genai-prices), `declared` (waybill.toml), `latest`, `lookup` (the
catalog itself), `assembly` (how it is put together), `fit` (how well a model does what).
"""

from broker.catalog.assembly import load
from broker.catalog.fit import task_fit
from broker.catalog.lookup import FREE, Catalog
from broker.catalog.models import Model, Offer

__all__ = ["FREE", "Catalog", "Model", "Offer", "load", "task_fit"]
