"""Watches a WHEP endpoint and prints what was received, as JSON.

Usage: aiortc_viewer.py URL TOKEN VIDEO_FRAMES AUDIO_FRAMES
"""

import asyncio
import json
import sys
import urllib.request
from urllib.parse import urljoin

from aiortc import RTCPeerConnection, RTCSessionDescription

PATIENCE_SECONDS = 30


def request(method, url, token, body=None):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    wanted = urllib.request.Request(url, method=method, headers=headers, data=body)
    with urllib.request.urlopen(wanted, timeout=10) as response:
        return response.status, response.headers, response.read().decode()


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


async def main(url, token, video_frames, audio_frames):
    seen = {"video_frames": 0, "audio_frames": 0, "width": 0, "height": 0, "loudest": 0.0}
    peer = RTCPeerConnection()
    peer.addTransceiver("video", direction="recvonly")
    peer.addTransceiver("audio", direction="recvonly")
    counts = {"video": video_frames, "audio": audio_frames}
    receivers = []

    @peer.on("track")
    def on_track(track):
        receivers.append(asyncio.ensure_future(receive(track, counts[track.kind], seen)))

    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp.encode()
    seen["post"], headers, answer = await asyncio.to_thread(request, "POST", url, token, offer)
    await peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    try:
        await asyncio.wait_for(asyncio.gather(*receivers), PATIENCE_SECONDS)
    except asyncio.TimeoutError:
        print(f"frames are missing: {seen}", file=sys.stderr)
    session = urljoin(url, headers["Location"])
    seen["delete"], _, _ = await asyncio.to_thread(request, "DELETE", session, token)
    await peer.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
