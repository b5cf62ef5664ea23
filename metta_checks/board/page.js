// Chooses the dashboard and the colours, and draws the charts in them.
(() => {
  const root = document.documentElement;
  const sections = [...document.querySelectorAll("section")];
  const asked = new URLSearchParams(location.search).get("theme");
  if (asked) root.dataset.theme = asked;

  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  const themed = (layout) => {
    const axis = { gridcolor: colour("--rule"), zerolinecolor: colour("--rule"), automargin: true };
    return {
      ...layout,
      template: null,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--quiet"), size: Math.max(12, innerWidth / 130) },
      margin: { l: 12, r: 14, t: 8, b: 8 },
      legend: { orientation: "h", y: -0.18, x: 0 },
      xaxis: { ...layout.xaxis, ...axis, type: "date", tickformat: "%H:%M", nticks: 6 },
      yaxis: { ...layout.yaxis, ...axis, nticks: 5 },
    };
  };

  const draw = () => {
    for (const element of document.querySelectorAll("section.chosen .chart")) {
      const figure = JSON.parse(element.dataset.figure);
      Plotly.react(element, figure.data, themed(figure.layout), { displayModeBar: false, responsive: true });
    }
  };

  const choose = () => {
    const wanted = decodeURIComponent(location.hash.slice(1));
    const chosen = sections.find((section) => section.dataset.name === wanted) || sections[0];
    for (const section of sections) section.classList.toggle("chosen", section === chosen);
    for (const link of document.querySelectorAll("nav a"))
      link.classList.toggle("chosen", link.hash === "#" + chosen.dataset.name);
    scrollTo(0, 0);
    draw();
  };

  document.getElementById("theme").onclick = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    draw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("hashchange", choose);
  choose();
})();
