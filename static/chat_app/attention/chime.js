// A chime of two soft notes. Browsers let a page play sound only after a click or key on the page.

const NOTES = [
  [0, 659],
  [0.16, 880],
];
const LASTS = 0.6;
const VOLUME = 0.2;
const LATE = 5000; // ms; a chime that is this late is not played

let context = null;
let allowed = null; // a promise, resolved once the browser allows sound
let sounding = 0;

/** Prepare the chime, suspended to save power. Resolves once the browser allows sound. */
export function prepare() {
  if (!context) {
    context = new AudioContext();
    allowed = context.resume().then(() => context.suspend());
    for (const sign of ["pointerdown", "keydown"]) {
      addEventListener(sign, () => sounding || context.resume().then(rest), { once: true });
    }
  }
  return allowed;
}

function rest() {
  if (!sounding) context.suspend();
}

export async function chime() {
  const asked = Date.now();
  await prepare();
  // Too late: the browser allowed sound only when the person came back, who needs no chime now.
  if (Date.now() - asked > LATE) return;
  await context.resume();
  const now = context.currentTime;
  for (const [after, pitch] of NOTES) {
    const [tone, volume] = [context.createOscillator(), context.createGain()];
    tone.frequency.value = pitch;
    tone.connect(volume).connect(context.destination);
    volume.gain.setValueAtTime(0, now + after);
    volume.gain.linearRampToValueAtTime(VOLUME, now + after + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.001, now + after + LASTS);
    tone.start(now + after);
    tone.stop(now + after + LASTS);
    sounding += 1;
    tone.onended = () => {
      sounding -= 1;
      rest();
    };
  }
}
