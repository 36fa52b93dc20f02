// Measures of the tests, laid into the page after it has opened.
window.e2e = (() => {
  const errors = [];
  addEventListener('error', event => errors.push(String(event.message)));
  addEventListener('unhandledrejection', event => errors.push(String(event.reason)));

  const peer = () => window.dragonfork?.peer;
  const video = () => document.querySelector('video');
  const track = kind => peer().getReceivers().find(receiver => receiver.track.kind === kind).track;

  async function stats() {
    const said = [...document.querySelectorAll('#message, #hint')].map(element => element.textContent).join(' ');
    const result = {connection: peer()?.connectionState ?? '', ice: peer()?.iceConnectionState ?? '', said, errors};
    if (!peer()) return result;
    const report = await peer().getStats();
    for (const entry of report.values()) {
      if (entry.type === 'inbound-rtp') {
        result[entry.kind] = {...entry, codec: report.get(entry.codecId)?.mimeType ?? ''};
      }
      if (entry.type === 'transport' && entry.selectedCandidatePairId) {
        const pair = report.get(entry.selectedCandidatePairId);
        result.transport = report.get(pair.localCandidateId)?.protocol ?? '';
      }
    }
    return result;
  }

  function picture() {
    const canvas = document.createElement('canvas');
    canvas.width = video().videoWidth;
    canvas.height = video().videoHeight;
    canvas.getContext('2d').drawImage(video(), 0, 0);
    return canvas.toDataURL('image/png');
  }

  // Hands each frame or block of sound of a received track to `take`, until the time is over.
  async function each(kind, end, take) {
    const reader = new MediaStreamTrackProcessor({track: track(kind).clone()}).readable.getReader();
    const over = new Promise(resolve => setTimeout(() => resolve({done: true}), end - performance.now()));
    for (;;) {
      const {value, done} = await Promise.race([reader.read(), over]);
      if (done) break;
      await take(value, performance.now());
      value.close();
    }
    await reader.cancel();
  }

  // Mean brightness of a part of a frame.
  async function brightness(frame, [left, top, width, height]) {
    const even = value => 2 * Math.floor(value / 2);
    const rect = {
      x: even(left * frame.codedWidth), y: even(top * frame.codedHeight),
      width: even(width * frame.codedWidth), height: even(height * frame.codedHeight),
    };
    const bytes = new Uint8Array(frame.allocationSize({rect}));
    const [plane] = await frame.copyTo(bytes, {rect});
    let sum = 0;
    for (let y = 0; y < rect.height; y++) {
      for (let x = 0; x < rect.width; x++) sum += bytes[plane.offset + y * plane.stride + x];
    }
    return sum / (rect.width * rect.height);
  }

  // When the picture begins to be bright and the sound begins to be loud. Half of the greatest value is the border.
  async function flashesAndBeeps(seconds, patch) {
    const end = performance.now() + seconds * 1000;
    const light = [], sound = [];
    await Promise.all([
      each('video', end, async (frame, now) => light.push([now, await brightness(frame, patch)])),
      each('audio', end, async (block, now) => {
        const samples = new Float32Array(block.numberOfFrames);
        block.copyTo(samples, {planeIndex: 0, format: 'f32-planar'});
        // A block comes when its first sample is due.
        const step = Math.round(block.sampleRate / 1000);
        for (let at = 0; at < samples.length; at += step) {
          const loudest = samples.subarray(at, at + step).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
          sound.push([now + 1000 * at / block.sampleRate, loudest]);
        }
      }),
    ]);
    return {flashes: begins(light, 0.5), beeps: begins(sound, 0.25)};
  }

  function begins(series, share) {
    const values = series.map(([, value]) => value);
    const low = Math.min(...values), border = low + (Math.max(...values) - low) * share;
    const times = [];
    let last = -Infinity;
    series.forEach(([time, value], at) => {
      if (value < border) return;
      if (time - last > 300 && at > 0) times.push(time);
      last = time;
    });
    return times;
  }

  return {stats, picture, flashesAndBeeps};
})();
