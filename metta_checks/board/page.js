// Chooses the dashboard and the colours.
(() => {
  const root = document.documentElement;
  const sections = [...document.querySelectorAll("section")];
  const asked = new URLSearchParams(location.search).get("theme");
  if (asked === "dark" || asked === "light") root.dataset.theme = asked;

  const choose = () => {
    const wanted = decodeURIComponent(location.hash.slice(1));
    const chosen = sections.find((section) => section.dataset.name === wanted) || sections[0];
    for (const section of sections) section.classList.toggle("chosen", section === chosen);
    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === "#" + chosen.dataset.name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    scrollTo(0, 0);
  };

  document.getElementById("theme").onclick = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  };
  addEventListener("hashchange", choose);
  choose();
})();
