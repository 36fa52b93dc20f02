"""Watches a WHEP endpoint with GStreamer's webrtcbin and prints what was decoded, as JSON.

Usage: webrtcbin_viewer.py URL TOKEN trickle|gather VIDEO_FRAMES AUDIO_BUFFERS

`gather` offers when every candidate is known, `trickle` at once, and hands in the candidates by PATCH.
"""

import json
import sys
import urllib.request
from urllib.parse import urljoin

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PATIENCE_SECONDS = 30
CAPS = {
    "video": "application/x-rtp,media=video,encoding-name=H264,payload=102,clock-rate=90000,packetization-mode=(string)1",
    "audio": "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,encoding-params=(string)2",
}


class Viewer:
    def __init__(self, url, token, trickles, wanted):
        self.url, self.token, self.trickles, self.wanted = url, token, trickles, wanted
        self.seen = {"post": 0, "patches": [], "delete": 0, "video_frames": 0, "audio_frames": 0, "width": 0, "height": 0}
        self.session, self.early = None, []
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.Pipeline.new()
        self.peer = Gst.ElementFactory.make("webrtcbin")
        self.peer.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.peer)
        for caps in CAPS.values():
            direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
            self.peer.emit("add-transceiver", direction, Gst.Caps.from_string(caps))
        self.peer.connect("on-negotiation-needed", self.negotiate)
        self.peer.connect("on-ice-candidate", lambda _, line, candidate: self.later(self.trickle, line, candidate))
        self.peer.connect("notify::ice-gathering-state", lambda *_: self.later(self.gathered))
        self.peer.connect("pad-added", self.decode)

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        GLib.timeout_add_seconds(PATIENCE_SECONDS, self.loop.quit)
        self.loop.run()
        if self.session:
            self.seen["delete"], _, _ = self.request("DELETE", self.session)
        self.pipeline.set_state(Gst.State.NULL)
        return self.seen

    def later(self, what, *arguments):
        """Does something in the main loop, whose thread asks HTTP."""
        GLib.idle_add(lambda: what(*arguments) and False)

    def request(self, method, url, kind=None, body=None):
        headers = {"Authorization": f"Bearer {self.token}"}
        if kind:
            headers["Content-Type"] = kind
        wanted = urllib.request.Request(url, method=method, headers=headers, data=body and body.encode())
        with urllib.request.urlopen(wanted, timeout=10) as response:
            return response.status, response.headers, response.read().decode()

    def negotiate(self, _):
        self.peer.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offered))

    def offered(self, promise):
        # The description lives as long as the reply.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        text = offer.sdp.as_text()
        self.peer.emit("set-local-description", offer, None)
        if self.trickles:
            self.later(self.offer, text)

    def gathered(self):
        complete = self.peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if complete and not self.trickles:
            self.offer(self.peer.get_property("local-description").sdp.as_text())

    def offer(self, sdp):
        line = lambda key: next(line.split(":", 1)[1] for line in sdp.splitlines() if line.startswith(key))
        self.credentials = f"a=ice-ufrag:{line('a=ice-ufrag')}\r\na=ice-pwd:{line('a=ice-pwd')}\r\n"
        self.mid = line("a=mid")
        self.seen["candidates"] = sdp.count("a=candidate:")
        self.seen["post"], headers, answer = self.request("POST", self.url, "application/sdp", sdp)
        self.session = urljoin(self.url, headers["Location"])
        _, message = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.peer.emit("set-remote-description", description, None)
        early, self.early = self.early, []
        for candidate in early:
            self.trickle(0, candidate)

    def trickle(self, line, candidate):
        if not self.trickles or line != 0:
            return
        if not self.session:
            self.early.append(candidate)
            return
        fragment = f"{self.credentials}m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{self.mid}\r\na={candidate}\r\n"
        status, _, _ = self.request("PATCH", self.session, "application/trickle-ice-sdpfrag", fragment)
        self.seen["patches"].append(status)

    def decode(self, _, pad):
        if pad.direction != Gst.PadDirection.SRC:
            return
        decoder = Gst.ElementFactory.make("decodebin")
        decoder.connect("pad-added", self.count)
        self.pipeline.add(decoder)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    def count(self, _, pad):
        caps = pad.get_current_caps().get_structure(0)
        kind = "video" if caps.get_name().startswith("video") else "audio"
        if kind == "video":
            self.seen["width"], self.seen["height"] = caps.get_value("width"), caps.get_value("height")
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("signal-handoffs", True)
        sink.connect("handoff", self.take, kind)
        self.pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    def take(self, _sink, _buffer, _pad, kind):
        self.seen[f"{kind}_frames"] += 1
        if all(self.seen[f"{kind}_frames"] >= count for kind, count in self.wanted.items()):
            self.loop.quit()


if __name__ == "__main__":
    Gst.init(None)
    wanted = {"video": int(sys.argv[4]), "audio": int(sys.argv[5])}
    print(json.dumps(Viewer(sys.argv[1], sys.argv[2], sys.argv[3] == "trickle", wanted).run()))
