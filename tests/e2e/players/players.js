// Each player as its own page would use it; `window.dragonfork.peer` is the connection, as on the product's page.
import { WebRTCPlayer } from '@eyevinn/webrtc-player';
import { WHEPClient } from 'whip-whep/whep.js';

const video = () => document.querySelector('video');

const players = {
  async eyevinn(url, token) {
    // It gathers first, and asks a public STUN server unless it is given a list.
    const player = new WebRTCPlayer({ video: video(), type: 'whep', iceServers: [] });
    await player.load(new URL(url), `Bearer ${token}`);
    Object.defineProperty(window.dragonfork, 'peer', { get: () => player.peer });
    return { stop: () => player.unload() };
  },

  async 'whip-whep'(url, token) {
    const peer = new RTCPeerConnection();
    peer.addTransceiver('video', { direction: 'recvonly' });
    peer.addTransceiver('audio', { direction: 'recvonly' });
    peer.ontrack = event => { video().srcObject = event.streams[0]; };
    window.dragonfork.peer = peer;
    const player = new WHEPClient();
    await player.view(peer, url, token);
    return { stop: () => player.stop(), restart: () => player.restart() };
  },
};

window.dragonfork = {};
window.play = async (player, url, token) => { window.player = await players[player](url, token); };
