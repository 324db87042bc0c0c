"""Operations other than chat: a module for each operation, with a class for each wire.

`base.OperationAdapter` is the interface, with the method names of `workers.adapters.base.Adapter`.
`registry` lists the adapters by operation and wire.
"""
