"""The workers: the Celery application and every outgoing HTTP call.

Read in this order:

- `runtime`: the Celery application, its consumer, and the asyncio loop that runs bundles of jobs;
- `context`: the WorkerContext, the connections of a process;
- `provider_routes`: the adapter, the connection data and the limits of each provider;
- `attempt`: the steps of one attempt, from the claim to the published result;
- `upstream`: the HTTP call to a provider, and the reading of its answer;
- `adapters`: one folder for each wire, pure translators of requests, responses and streams;
- `operations`: embeddings, images, audio, reranking and text completions on those wires;
- `media`: attachments, made to fit the endpoint;
- `services`: background loops (dispatcher, batches, retention) and webhook deliveries;
- `native_batches`: jobs run by providers' batch APIs;
- `egress`: the guard around requests to addresses that callers choose;
- `sandbox`: computation on callers' data in processes that can be killed.

`simulator` is a provider for demos, tests and load. It is apart: it imports nothing of Waybill, and
of Waybill only `waybill simulate` imports it.
"""
