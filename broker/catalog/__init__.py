"""The models that can be requested: by slug, each with its endpoints and their prices.

In reading order: `models`, `names` (slugs of providers' model ids), `vendor_facts` (abilities,
policies, retirements); the sources `priced` (genai-prices), `declared` (waybill.toml), `models_dev`
and `discovered` (external lists); `imports` (changes by these lists), `lookup` (the catalog),
`selection` (listings), `live` (the catalog of a process).
"""

from broker.catalog.live import LiveCatalog, load
from broker.catalog.lookup import FREE, LATEST, Catalog
from broker.catalog.models import Model, Offer
from broker.catalog.selection import load_task_fit

__all__ = ["FREE", "LATEST", "Catalog", "LiveCatalog", "Model", "Offer", "load", "load_task_fit"]
