"use strict";
// Without this script nothing is missing but conveniences: the toggle and the filters are hidden, all images are shown.

const theme = document.getElementById("theme");
const dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
theme.hidden = false;
theme.setAttribute("aria-pressed", String(dark()));
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = dark() ? "light" : "dark";
  theme.setAttribute("aria-pressed", String(dark()));
});

const filters = document.querySelector(".filters");
if (filters) {
  filters.hidden = false;
  const images = [...document.querySelectorAll(".gallery > li")];
  const shown = document.getElementById("shown");
  filters.addEventListener("change", () => {
    const wanted = new FormData(filters);
    const fits = (image, key) => wanted.get(key) === "any" || image.dataset[key] === wanted.get(key);
    let count = 0;
    for (const image of images) {
      image.hidden = !(fits(image, "exit") && fits(image, "answer"));
      count += image.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${images.length} images`;
  });
}

// What is folded up is printed unfolded.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of folded) one.open = false;
});
