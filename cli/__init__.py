"""The `waybill` command: start the parts, and be a client of the API.

- `main`: the table of commands; each is loaded when it is used.
- `commands/`: one module or package for each command group.
- `start/`: `waybill up` and the parts that it starts.
- `client/`: the client of Waybill's API that commands share.
- `database`, `configuration`, `environment`, `data_directory`, `output`, `messages`: shared parts.
"""
