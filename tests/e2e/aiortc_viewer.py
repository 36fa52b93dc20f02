"""Watches a WHEP endpoint and prints what was received, as JSON.

Usage: aiortc_viewer.py URL TOKEN VIDEO_FRAMES AUDIO_FRAMES [MIME_TYPE ...]

With MIME types it offers these codecs alone, and answers the counter-offer that comes of it.
"""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from urllib.parse import urljoin

from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription

PATIENCE_SECONDS = 30


def request(method, url, token, body=None):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    wanted = urllib.request.Request(url, method=method, headers=headers, data=body)
    try:
        with urllib.request.urlopen(wanted, timeout=10) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as refused:
        if refused.code != 406:
            raise
        return refused.code, refused.headers, refused.read().decode()


async def receive(track, count, seen):
    """Decodes so many frames of a track."""
    for _ in range(count):
        frame = await track.recv()
        seen[f"{track.kind}_frames"] += 1
        if track.kind == "video":
            seen["width"], seen["height"] = frame.width, frame.height
        else:
            loudest = max(abs(int(sample)) for sample in memoryview(bytes(frame.planes[0])).cast("h"))
            seen["loudest"] = max(seen["loudest"], loudest / 32768)


async def offered(url, token, codecs, seen):
    """POSTs an offer, of these codecs alone where there are some; the peer, the headers and what came back."""
    peer = RTCPeerConnection()
    for kind in ["video", "audio"]:
        transceiver = peer.addTransceiver(kind, direction="recvonly")
        if codecs:
            known = RTCRtpReceiver.getCapabilities(kind).codecs
            transceiver.setCodecPreferences([codec for codec in known if codec.mimeType in codecs])
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp.encode()
    seen["post"], headers, body = await asyncio.to_thread(request, "POST", url, token, offer)
    return peer, headers, body


async def main(url, token, video_frames, audio_frames, codecs):
    seen = {"video_frames": 0, "audio_frames": 0, "width": 0, "height": 0, "loudest": 0.0, "patch": 0}
    peer, headers, body = await offered(url, token, codecs, seen)
    session = urljoin(url, headers["Location"])
    if codecs:
        await peer.close()
        peer = RTCPeerConnection()
    counts = {"video": video_frames, "audio": audio_frames}
    receivers = []

    @peer.on("track")
    def on_track(track):
        receivers.append(asyncio.ensure_future(receive(track, counts[track.kind], seen)))

    await peer.setRemoteDescription(RTCSessionDescription(sdp=body, type="offer" if codecs else "answer"))
    if codecs:
        await peer.setLocalDescription(await peer.createAnswer())
        answer = peer.localDescription.sdp.encode()
        seen["patch"], _, _ = await asyncio.to_thread(request, "PATCH", session, token, answer)
    try:
        await asyncio.wait_for(asyncio.gather(*receivers), PATIENCE_SECONDS)
    except asyncio.TimeoutError:
        print(f"frames are missing: {seen}", file=sys.stderr)
    seen["delete"], _, _ = await asyncio.to_thread(request, "DELETE", session, token)
    await peer.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]))
