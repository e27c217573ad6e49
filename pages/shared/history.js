// One step of the browser's history for each thing that a person does. Streamlit adds one for each parameter that a page writes
// into its address: Back would take out the last of them, and the page would write it again.
(() => {
  if (window.lightboxHistory) return;
  window.lightboxHistory = true;
  const push = history.pushState.bind(history);
  let acted = false, address = location.href;
  for (const kind of ["pointerdown", "keydown", "click"]) addEventListener(kind, () => { acted = true; }, true);
  addEventListener("popstate", () => { acted = false; }, true);
  history.pushState = (state, title, url) => {
    if (acted) push(state, title, url);
    else history.replaceState(state, title, url);
    acted = false;
    address = location.href;
  };
  // What was added before this script came: back to where the page was opened, with the address of now.
  const added = (window.navigation?.currentEntry?.index ?? 0) - (window.navigation?.activation?.entry?.index ?? Infinity);
  if (!(added > 0)) return;
  addEventListener("popstate", (event) => {
    event.stopImmediatePropagation();
    history.replaceState({}, "", address);
  }, { capture: true, once: true });
  history.go(-added);
})();
