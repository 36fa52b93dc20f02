return (async (url, token) => {
  const bearer = {authorization: `Bearer ${token}`};
  const video = document.createElement('video');
  Object.assign(video, {muted: true, autoplay: true});
  document.body.append(video);
  const peer = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  for (const kind of ['video', 'audio']) peer.addTransceiver(kind, {direction: 'recvonly'});
  peer.ontrack = event => { video.srcObject = event.streams[0]; };
  await peer.setLocalDescription();
  const headers = {'content-type': 'application/sdp', ...bearer};
  const posted = await fetch(url, {method: 'POST', headers, body: peer.localDescription.sdp});
  let answer = await posted.text(), etag = posted.headers.get('etag');
  const location = new URL(posted.headers.get('location'), url).href;
  await peer.setRemoteDescription({type: 'answer', sdp: answer});
  window.dragonfork = {peer};

  const frames = [];
  const note = now => { frames.push(now); video.requestVideoFrameCallback(note); };
  video.requestVideoFrameCallback(note);
  const line = (text, key) => new RegExp(`^a=${key}:(.*?)\r?$`, 'm').exec(text)?.[1] ?? '';
  const sleep = time => new Promise(resolve => setTimeout(resolve, time));

  window.restart = async () => {
    await sleep(1000);
    const dtls = peer.getReceivers()[0].transport;
    let handshakes = 0;
    dtls.onstatechange = () => handshakes++;
    const begin = performance.now();
    const before = {etag, ufrag: line(answer, 'ice-ufrag'), own: line(peer.localDescription.sdp, 'ice-ufrag')};
    peer.restartIce();
    await peer.setLocalDescription(await peer.createOffer());
    const offer = peer.localDescription.sdp;
    const body = [`a=ice-ufrag:${line(offer, 'ice-ufrag')}`, `a=ice-pwd:${line(offer, 'ice-pwd')}`,
      'm=video 9 UDP/TLS/RTP/SAVPF 0', 'a=mid:0', ''].join('\r\n');
    const headers = {'content-type': 'application/trickle-ice-sdpfrag', 'if-match': etag, ...bearer};
    const patched = await fetch(location, {method: 'PATCH', headers, body});
    const fragment = await patched.text();
    etag = patched.headers.get('etag');
    for (const key of ['ice-ufrag', 'ice-pwd']) {
      answer = answer.replaceAll(new RegExp(`a=${key}:.*`, 'g'), `a=${key}:${line(fragment, key)}`);
    }
    await peer.setRemoteDescription({type: 'answer', sdp: answer});
    const ufrag = line(fragment, 'ice-ufrag');
    // The pair that is used is one of the new ICE session.
    const isNew = async () => {
      const report = await peer.getStats();
      const transport = [...report.values()].find(entry => entry.type === 'transport');
      const pair = report.get(transport?.selectedCandidatePairId);
      return pair?.state === 'succeeded' && report.get(pair.localCandidateId)?.usernameFragment === line(offer, 'ice-ufrag');
    };
    while (!await isNew() && performance.now() - begin < 10_000) await sleep(20);
    const took = performance.now() - begin;
    await sleep(3000);
    const seen = frames.filter(at => at > begin - 1000);
    const gaps = [...seen, performance.now()].slice(1).map((at, index) => at - seen[index]);
    return {
      status: patched.status, media: patched.headers.get('content-type'), etags: [before.etag, etag],
      ufrags: [before.ufrag, ufrag], own: [before.own, line(offer, 'ice-ufrag')], took, gap: Math.max(...gaps),
      frames: seen.length, dtls: dtls.state, handshakes,
    };
  };
})(...arguments);
