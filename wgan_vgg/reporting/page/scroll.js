// Marks on which side of a frame there is more to scroll to; only such a frame is a stop of the Tab key.
function markScroll(frame) {
  const beyond = frame.scrollWidth - frame.clientWidth;
  frame.parentElement.classList.toggle("more-left", frame.scrollLeft > 1);
  frame.parentElement.classList.toggle("more-right", beyond - frame.scrollLeft > 1);
  if (beyond > 1) frame.tabIndex = 0;
  else frame.removeAttribute("tabindex");
}

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) markScroll(target.closest(".scroll"));
});

for (const frame of document.querySelectorAll(".scroll")) {
  frame.addEventListener("scroll", () => markScroll(frame), { passive: true });
  sizes.observe(frame);
  sizes.observe(frame.firstElementChild); // rows may come later
}
