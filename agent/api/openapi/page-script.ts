/**
 * The script of the page. Without it everything can be read, opened and followed; it adds the search, the buttons that open all and copy,
 * and the address in the first example.
 */
export const pageScript = `
(function () {
  var all = function (selector, root) { return Array.prototype.slice.call((root || document).querySelectorAll(selector)) }
  var tools = document.querySelector('.tools'), input = document.querySelector('#search'), found = document.querySelector('#found')
  tools.hidden = false
  if (matchMedia('(max-width:52rem)').matches) document.querySelector('.side details').open = false
  all('.origin').forEach(function (each) { each.textContent = location.origin })
  var open = function (isOpen, within) { all('details', within).forEach(function (each) { if (!each.closest('.side')) each.open = isOpen }) }
  document.querySelector('#expand').addEventListener('click', function () { open(true) })
  document.querySelector('#collapse').addEventListener('click', function () { open(false) })
  all('figure').forEach(function (figure) {
    var button = document.createElement('button')
    button.type = 'button'
    button.textContent = 'Copy'
    button.addEventListener('click', function () {
      var said = function (text) { button.textContent = text; setTimeout(function () { button.textContent = 'Copy' }, 1500) }
      var text = figure.querySelector('pre').textContent
      if (!navigator.clipboard) return said('Not permitted here')
      navigator.clipboard.writeText(text).then(function () { said('Copied') }, function () { said('Not permitted here') })
    })
    figure.querySelector('figcaption').append(button)
  })
  var entries = all('main .op').map(function (op) {
    var id = op.querySelector('[id]').id
    return { op: op, text: op.textContent.toLowerCase(), link: document.querySelector('.side a[href="#' + id + '"]') }
  })
  var search = function () {
    var words = input.value.toLowerCase().split(/\\s+/).filter(Boolean), count = 0
    entries.forEach(function (entry) {
      var hit = words.every(function (word) { return entry.text.indexOf(word) >= 0 })
      entry.op.hidden = !hit
      if (entry.link) entry.link.parentNode.hidden = !hit
      if (hit) count++
    })
    all('main section').forEach(function (section) { section.hidden = words.length > 0 && all('.op', section).every(function (op) { return op.hidden }) })
    found.textContent = words.length === 0 ? '' : count === 0 ? 'Nothing found' : count + ' found'
  }
  input.addEventListener('input', search)
  input.addEventListener('keydown', function (event) {
    if (event.key === 'Escape') { input.value = ''; search() }
    var first = entries.find(function (entry) { return !entry.op.hidden })
    if (event.key === 'Enter' && first) { first.op.open = true; first.op.querySelector('summary').focus() }
  })
  document.addEventListener('keydown', function (event) {
    if (event.key === '/' && !/^(INPUT|TEXTAREA)$/.test(event.target.tagName)) { event.preventDefault(); input.focus() }
  })
  var reveal = function () {
    var target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)))
    for (var node = target; node; node = node.parentElement) { if (node.hidden) { input.value = ''; search() } if (node.tagName === 'DETAILS') node.open = true }
    if (target) target.scrollIntoView()
  }
  addEventListener('hashchange', reveal)
  reveal()
})()
`
