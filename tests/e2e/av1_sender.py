"""Sends the picture of a file by RTP at its own speed, with the libraries of a newer FFmpeg than the one that is installed.

Usage: av1_sender.py FILE PORT PAYLOAD_TYPE
"""

import sys
import time

import av


def main(file, port, payload_type):
    options = {"payload_type": payload_type, "rtpflags": "skip_rtcp+send_bye", "strict": "experimental"}
    target = f"udp://127.0.0.1:{port}?pkt_size=1200"
    with av.open(file) as source, av.open(target, "w", format="rtp", options=options) as sink:
        picture = source.streams.video[0]
        # No encoder is needed: the packets go as they are.
        leg = sink.add_stream_from_template(picture, opaque=True)
        begin = time.monotonic()
        for packet in source.demux(picture):
            if packet.dts is None:
                continue
            time.sleep(max(0.0, begin + float(packet.dts * packet.time_base) - time.monotonic()))
            packet.stream = leg
            sink.mux(packet)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
