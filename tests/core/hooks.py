"""How the bodies of WHEP are written."""

import schemathesis


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def text(context, value):
    return str(value).encode("utf-8", "replace")
