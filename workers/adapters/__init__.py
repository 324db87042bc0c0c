"""One module per provider wire: declarations plus pure translators; `registry` lists them."""
