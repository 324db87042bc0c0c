"""The commands of `waybill`: one module or package for each command group."""
