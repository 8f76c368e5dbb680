"""One port, several processes, one registry: `python -m examples.workers --workers 4`.

engine.py      the application; it does not know how many processes serve it
worker.py      one process: the module's runner on a socket that it was handed
supervisor.py  the parent: holds the listening socket, keeps the workers running
logs.py        says which process speaks

The parent listens and never accepts. Who connects waits in its queue until a worker accepts, so a worker that dies
takes only what it had accepted with it. Workers that listen for themselves (SO_REUSEPORT) have a queue each, and a
dying one takes that along.

Why not gunicorn: aiohttp's worker for it takes the module's runner (from a factory that returns `GuardedRunner(app)`),
but a fault in the configuration comes as a traceback of each worker, a replacement that can't start stops those that
serve, and a worker that dies right after its start, over and over, is started again without a pause.
"""
