"""The models that can be requested: by slug, each with its endpoints and their prices.

In reading order: `models`, `names` (one slug wherever a model is served), `vendor_facts`
(abilities, policies, retirements); the sources `priced` (genai-prices), `declared` (waybill.toml),
`models_dev` and `discovered` (lists of others); `imports` (their changes, and as stored),
`lookup` (the catalog itself), `selection` (listings of it), `live` (the catalog of a process).
"""

from broker.catalog.live import LiveCatalog, load
from broker.catalog.lookup import FREE, LATEST, Catalog
from broker.catalog.models import Model, Offer
from broker.catalog.selection import task_fit

__all__ = ["FREE", "LATEST", "Catalog", "LiveCatalog", "Model", "Offer", "load", "task_fit"]
