// Text on the page whose contrast with what lies behind it is below 4.5 to 1: {text: ratio}.
() => {
  const outer = element => element.parentElement ?? element.getRootNode().host      // also out of a shadow root
  const chain = element => { const all = []; for (let e = element; e; e = outer(e)) all.push(e); return all }
  const over = (front, back) => [0, 1, 2].map(i => front[i] * front[3] + back[i] * (1 - front[3]))

  function channels(color) {                            // [red, green, blue in 0..255, opacity]
    const numbers = (color.match(/[\d.]+(?:e-?\d+)?/g) ?? []).map(Number)
    const [r, g, b, a = 1] = numbers
    if (color.startsWith("rgb")) return [r, g, b, a]
    if (color.startsWith("color(srgb")) return [r * 255, g * 255, b * 255, a]
    return null
  }

  function luminance(color) {
    const [r, g, b] = color.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }

  function background(elements) {
    const layers = []
    for (const element of elements) {
      const color = channels(getComputedStyle(element).backgroundColor)
      if (color && color[3] > 0) layers.unshift(color)
      if (color?.[3] === 1) break
    }
    return layers.reduce((back, front) => over(front, back), [255, 255, 255])
  }

  const pale = {}
  function visit(root) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT)
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.nodeType === Node.ELEMENT_NODE) {
        if (node.shadowRoot) visit(node.shadowRoot)
        continue
      }
      const element = node.parentElement
      if (!element || !node.textContent.trim() || element.closest("style, script, noscript, [disabled], [aria-disabled=true]")) continue
      const style = getComputedStyle(element), box = element.getBoundingClientRect()
      if (style.visibility === "hidden" || box.width < 2 || box.height < 2) continue
      const elements = chain(element)
      const color = channels(element instanceof SVGElement ? style.fill : style.color)
      if (!color) continue
      const opacity = elements.reduce((product, e) => product * Number(getComputedStyle(e).opacity), color[3])
      const back = background(elements)
      const [high, low] = [luminance(over([...color.slice(0, 3), opacity], back)), luminance(back)].sort((a, b) => b - a)
      const ratio = (high + 0.05) / (low + 0.05)
      if (ratio < 4.5) pale[node.textContent.trim().slice(0, 60)] = Number(ratio.toFixed(2))
    }
  }
  visit(document.body)
  return pale
}
