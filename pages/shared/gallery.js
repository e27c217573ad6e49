// The browser's side of pages/shared/gallery.py: unpack, lay the tiles out once, answer clicks and keys.

const shown = new WeakMap()       // the element of each gallery on the page -> what it shows now

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const grid = parentElement.querySelector(".gallery")
  if (!grid || !data) return

  const { header, sheet } = unpack(data)
  const now = shown.get(grid) ?? {}
  const fresh = now.header?.id !== header.id
  if (fresh) {
    if (now.header?.sheet !== header.sheet) {
      if (now.url) URL.revokeObjectURL(now.url)
      now.url = URL.createObjectURL(new Blob([sheet], { type: header.kind }))
      grid.style.setProperty("--sheet", `url("${now.url}")`)
    }
    build(grid, header)
  }
  now.header = header
  shown.set(grid, now)
  select(grid, header.selected)
  if (fresh) requestAnimationFrame(() => keepInSight(grid))

  grid.onclick = event => {
    const tile = event.target.closest(".tile")
    if (tile) choose(tile)
  }
  grid.onkeydown = event => {
    const tiles = [...grid.children]
    const at = tiles.indexOf(event.target.closest(".tile"))
    if (at < 0) return
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault()
      choose(tiles[at])
      return
    }
    const to = target(event.key, at, tiles)
    if (to === null) return
    event.preventDefault()
    focus(grid, tiles[Math.max(0, Math.min(tiles.length - 1, to))])
  }

  function choose(tile) {
    const index = Number(tile.dataset.index)
    select(grid, index)               // shown at once; the server's answer says the same
    setTriggerValue("clicked", index)
  }

  return () => {
    const last = shown.get(grid)
    if (last?.url) URL.revokeObjectURL(last.url)
    shown.delete(grid)
  }
}

function unpack(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data)
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  return { header, sheet: bytes.subarray(4 + length) }
}

function build(grid, header) {
  const scale = header.tile / header.side           // pixels of the screen for a pixel of the sheet
  grid.setAttribute("aria-label", header.label)
  grid.style.setProperty("--tile", `${header.tile}px`)
  grid.style.setProperty("--sheet-width", `${header.columns * header.pitch * scale}px`)
  grid.style.setProperty("--sheet-height", `${header.rows * header.pitch * scale}px`)
  const tiles = document.createDocumentFragment()
  const breaks = new Set(header.breaks)
  for (let i = 0; i < header.n; i++) {
    const caption = header.captions[i] ?? ""
    const mark = header.marks[i] ?? ""
    const tile = document.createElement("div")
    tile.className = `tile ${mark}`
    tile.dataset.index = i
    tile.tabIndex = -1
    if (breaks.has(i)) tile.style.gridColumnStart = 1
    tile.setAttribute("role", "option")
    tile.setAttribute("aria-label", [caption || `Image ${i + 1}`, mark].filter(Boolean).join(", "))
    const picture = document.createElement("div")
    picture.className = "picture"
    const x = ((i % header.columns) * header.pitch + header.border) * scale
    const y = (Math.floor(i / header.columns) * header.pitch + header.border) * scale
    picture.style.backgroundPosition = `${-x}px ${-y}px`
    tile.append(picture)
    if (caption) {
      const text = document.createElement("div")
      text.className = "caption"
      text.textContent = caption                      // never as HTML: captions come from files
      text.title = caption
      tile.append(text)
    }
    tiles.append(tile)
  }
  grid.replaceChildren(tiles)
}

function select(grid, index) {
  for (const tile of grid.children) tile.setAttribute("aria-selected", String(Number(tile.dataset.index) === index))
  if (!grid.querySelector("[tabindex='0']")) setEntry(grid, grid.children[index ?? 0] ?? grid.firstElementChild)
}

// Beside an opened image the grid is narrower and scrolls by itself, so the chosen tile lies elsewhere: it is brought into sight.
function keepInSight(grid) {
  const frame = grid.getRootNode().host?.closest(".st-key-beside_details")
  const tile = grid.querySelector("[aria-selected='true']")
  if (!frame || !tile || getComputedStyle(frame).overflowY !== "auto") return        // on a telephone all is one column
  const room = grid.clientWidth - 6, columns = Math.floor((room + 8) / (tile.offsetWidth + 8))       // 8, 3: as in gallery.css
  if (columns > 3) grid.style.columnGap = `${Math.floor((room - columns * tile.offsetWidth) / (columns - 1))}px`    // no strip is left
  const box = frame.getBoundingClientRect(), { top, bottom } = tile.getBoundingClientRect()
  if (top < box.top || bottom > Math.min(box.bottom, innerHeight)) frame.scrollTop += top - box.top - box.height / 3
  const now = tile.getBoundingClientRect()
  if (now.top < 0 || now.bottom > innerHeight) frame.scrollIntoView({ block: "nearest" })
}

// One stop for the Tab key for the whole grid; the arrows move inside.
function setEntry(grid, tile) {
  for (const other of grid.children) other.tabIndex = -1
  if (tile) tile.tabIndex = 0
}

function focus(grid, tile) {
  setEntry(grid, tile)
  tile.focus()
}

function target(key, at, tiles) {
  switch (key) {
    case "ArrowRight": return at + 1
    case "ArrowLeft": return at - 1
    case "ArrowDown": return above(tiles, at, 1)
    case "ArrowUp": return above(tiles, at, -1)
    case "Home": return 0
    case "End": return tiles.length - 1
    default: return null
  }
}

// The tile in the next row (step 1) or the one before (-1) that is nearest across; rows may be of different lengths.
function above(tiles, at, step) {
  const { offsetTop: top, offsetLeft: left } = tiles[at]
  let row = null, best = null
  for (let i = at + step; i >= 0 && i < tiles.length; i += step) {
    const tile = tiles[i]
    if (tile.offsetTop === top) continue
    if (row !== null && tile.offsetTop !== row) break
    row = tile.offsetTop
    if (best === null || Math.abs(tile.offsetLeft - left) < Math.abs(tiles[best].offsetLeft - left)) best = i
  }
  return best
}
