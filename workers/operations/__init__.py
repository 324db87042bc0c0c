"""Everything but chat: one module an operation, one small class a wire; `registry` lists them."""
