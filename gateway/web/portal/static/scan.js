// Reads a learning code with the camera or out of a picture, in the browser: no picture leaves it.
const TRY_EVERY_MS = 120;
const SIDE_MAX = 1600;
const box = document.querySelector("[data-scan]");
const field = document.querySelector("input[name=code]");
const video = box.querySelector("video");
const camera = box.querySelector("[data-camera]");
const says = box.querySelector("[role=status]");
let stream = null;

const reader = async () => (await import("/static/qr/decode.js")).default;

function codeIn(decode, image, width, height, options) {
  const scale = Math.min(1, SIDE_MAX / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  try {
    return decode(context.getImageData(0, 0, canvas.width, canvas.height), options);
  } catch {
    return null; // no code in this picture
  }
}

function stop() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  video.srcObject = null;
  video.hidden = true;
  camera.textContent = box.dataset.start;
}

function take(code) {
  stop();
  field.value = code;
  says.textContent = box.dataset.found;
  document.querySelector("input[name=organisation]").focus();
}

async function look() {
  says.textContent = "";
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    says.textContent = box.dataset.denied;
    return;
  }
  video.srcObject = stream;
  video.hidden = false;
  camera.textContent = box.dataset.stop;
  await video.play();
  const decode = await reader();
  while (stream) {
    const code = video.videoWidth ? codeIn(decode, video, video.videoWidth, video.videoHeight) : null;
    if (code) return take(code);
    await new Promise((next) => setTimeout(next, TRY_EVERY_MS));
  }
}

camera.hidden = !navigator.mediaDevices?.getUserMedia;
camera.addEventListener("click", () => (stream ? stop() : look()));
addEventListener("pagehide", stop);
box.querySelector("input[type=file]").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  const picture = await createImageBitmap(file).catch(() => null);
  const decode = await reader();
  const thorough = { effort: Infinity, timeLimit: 5000 };
  const code = picture && codeIn(decode, picture, picture.width, picture.height, thorough);
  if (code) take(code);
  else says.textContent = box.dataset.none;
  event.target.value = "";
});
box.hidden = false;
