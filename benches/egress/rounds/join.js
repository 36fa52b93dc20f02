// One join, in a page of the program: milliseconds from just before the POST to whatever happened.
//
// The first frame is taken where the decoder hands it on. requestVideoFrameCallback waits for the next picture of the
// screen, which no player can make come sooner, and framesDecoded of getStats is renewed every 50 ms only.
return (async (url, token) => {
  const peer = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  const {track} = peer.addTransceiver('video', {direction: 'recvonly'}).receiver;
  peer.addTransceiver('audio', {direction: 'recvonly'});
  const video = document.createElement('video');
  Object.assign(video, {muted: true, autoplay: true, srcObject: new MediaStream([track])});
  document.body.append(video);
  const frames = new MediaStreamTrackProcessor({track}).readable.getReader();
  await peer.setLocalDescription();

  const times = {};
  const begin = performance.now();
  const note = name => { times[name] ??= performance.now() - begin; };
  peer.oniceconnectionstatechange = () => ['connected', 'completed'].includes(peer.iceConnectionState) && note('ice');
  peer.onconnectionstatechange = () => peer.connectionState === 'connected' && note('dtls');
  track.onunmute = () => note('packet');

  const headers = {'Content-Type': 'application/sdp', Authorization: `Bearer ${token}`};
  const response = await fetch(url, {method: 'POST', headers, body: peer.localDescription.sdp});
  note('answer');
  if (response.status !== 201) throw new Error(`POST: ${response.status} ${await response.text()}`);
  await peer.setRemoteDescription({type: 'answer', sdp: await response.text()});
  const {value: frame} = await frames.read();
  note('frame');
  frame.close();

  const left = await fetch(response.headers.get('Location'), {method: 'DELETE', headers});
  if (left.status !== 200) throw new Error(`DELETE: ${left.status} ${await left.text()}`);
  await frames.cancel();
  peer.close();
  video.remove();
  return times;
})(...arguments);
