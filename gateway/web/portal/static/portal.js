// Counts a learning code down. Everything else works without script.
"use strict";
const box = document.querySelector("[data-seconds]");
if (box) {
  const clock = box.querySelector("[data-countdown]");
  const end = performance.now() + Number(box.dataset.seconds) * 1000;
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    clock.textContent = left ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` : box.dataset.over;
    if (left) setTimeout(tick, 250);
    else box.classList.add("gone");
  };
  tick();
}
