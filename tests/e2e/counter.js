return (async (url, token, wanted) => {
  const bearer = {authorization: `Bearer ${token}`};
  const sdp = {'content-type': 'application/sdp', ...bearer};
  // An offer of what the stream does not have.
  const first = new RTCPeerConnection();
  for (const [kind, name] of [['video', 'video/VP8'], ['audio', 'audio/PCMU']]) {
    const {codecs} = RTCRtpReceiver.getCapabilities(kind);
    const transceiver = first.addTransceiver(kind, {direction: 'recvonly'});
    transceiver.setCodecPreferences(codecs.filter(codec => codec.mimeType === name));
  }
  await first.setLocalDescription();
  const posted = await fetch(url, {method: 'POST', headers: sdp, body: first.localDescription.sdp});
  const offer = await posted.text(), etag = posted.headers.get('etag');
  const location = new URL(posted.headers.get('location'), url).href;
  first.close();

  const video = document.createElement('video');
  video.autoplay = true;
  document.body.append(video);
  const peer = new RTCPeerConnection();
  window.dragonfork = {peer};
  peer.ontrack = event => { video.srcObject = event.streams[0]; };
  await peer.setRemoteDescription({type: 'offer', sdp: offer});
  for (const transceiver of peer.getTransceivers()) {
    if (!wanted.includes(transceiver.receiver.track.kind)) transceiver.stop();
  }
  await peer.setLocalDescription();
  const answer = peer.localDescription.sdp;
  const patched = await fetch(location, {method: 'PATCH', headers: sdp, body: answer});

  const line = (text, key) => new RegExp(`^a=${key}:(.*?)\r?$`, 'm').exec(text)?.[1] ?? '';
  window.restart = async () => {
    const before = line(peer.localDescription.sdp, 'ice-ufrag');
    peer.restartIce();
    await peer.setLocalDescription(await peer.createOffer());
    const ours = peer.localDescription.sdp;
    const body = [`a=ice-ufrag:${line(ours, 'ice-ufrag')}`, `a=ice-pwd:${line(ours, 'ice-pwd')}`,
      'm=video 9 UDP/TLS/RTP/SAVPF 0', 'a=mid:0', ''].join('\r\n');
    const headers = {'content-type': 'application/trickle-ice-sdpfrag', 'if-match': etag, ...bearer};
    const restarted = await fetch(location, {method: 'PATCH', headers, body});
    const fragment = await restarted.text();
    // What was agreed holds on; the offer of the server becomes its answer.
    let theirs = offer.replaceAll('a=setup:actpass', 'a=setup:passive');
    for (const key of ['ice-ufrag', 'ice-pwd']) {
      theirs = theirs.replaceAll(new RegExp(`a=${key}:.*`, 'g'), `a=${key}:${line(fragment, key)}`);
    }
    await peer.setRemoteDescription({type: 'answer', sdp: theirs});
    const own = line(ours, 'ice-ufrag'), end = performance.now() + 10_000;
    const isNew = async () => {
      const report = await peer.getStats();
      const transport = [...report.values()].find(entry => entry.type === 'transport');
      const pair = report.get(transport?.selectedCandidatePairId);
      return pair?.state === 'succeeded' && report.get(pair.localCandidateId)?.usernameFragment === own;
    };
    let isThere = false;
    while (!(isThere = await isNew()) && performance.now() < end) await new Promise(resolve => setTimeout(resolve, 20));
    return {status: restarted.status, differs: before !== own, isThere};
  };
  window.leave = async () => (await fetch(location, {method: 'DELETE', headers: bearer})).status;
  const role = async () => [...(await peer.getStats()).values()].find(entry => entry.type === 'transport');
  window.roles = async () => { const {iceRole, dtlsRole} = await role(); return [iceRole, dtlsRole]; };
  return [posted.status, posted.headers.get('content-type'), patched.status];
})(...arguments);
