// One step of the browser's history for each thing that a person does. Streamlit adds one for each parameter that a page writes
// into its address: Back would take out the last of them, and the page would write it again.
(() => {
  const push = history.pushState.bind(history);
  let acted = false;
  for (const kind of ["pointerdown", "keydown", "click"]) addEventListener(kind, () => { acted = true; }, true);
  addEventListener("popstate", () => { acted = false; }, true);
  history.pushState = (state, title, url) => {
    if (acted) push(state, title, url);
    else history.replaceState(state, title, url);
    acted = false;
  };
})();
