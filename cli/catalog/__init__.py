"""`waybill catalog`: import models and prices, look at what an import would change, undo it."""
