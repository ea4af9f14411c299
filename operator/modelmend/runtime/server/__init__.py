"""The server of model pods: Open Inference Protocol v2 over three ports, one per arm, and feedback about it.

| file | charter |
|---|---|
| command | the entry: options over the environment |
| settings | what a server is told |
| process | sockets, start, drain, exit |
| connection | one TCP connection: deadlines and limits for heads |
| web | one HTTP exchange: a bounded body, JSON, every failure a sentence |
| routes | which path means what |
| serving | everything that exists once models are loaded, put together |
| answering | one arm: who answers, who is scored beside |
| protocol, binary | the words of the inference protocol, and its binary tensors |
| tensors | inputs to columns, checked by the artifact's schema |
| lanes, batches | requests to batches, a thread per model and arm |
| slots, background | models in memory: load, smoke test, unload, reload |
| tokens | signed prediction ids |
| feedback | labels to outcomes |
| tally, binning, exposition | counters, bins, and Prometheus' text |
| journal, parts | the prediction log, in the background, as Parquet |
| refusals, logs | what clients are told, and what the server says |

A request goes through connection, web, routes, answering (tensors, lanes, tokens, tally) and back. Threads belong to
lanes, slots and the journal only; everything else lives on the event loop.
"""
