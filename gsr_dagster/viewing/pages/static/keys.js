// n and p lead to the next and the previous page, where the page has such a link.
addEventListener("keydown", (event) => {
  const rel = { n: "next", p: "prev" }[event.key];
  if (!rel || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  document.querySelector(`a[rel=${rel}]`)?.click();
});
