// Compiles ../kaitai/*.ksy to Python: node kaitai.js OUT. Needs the packages kaitai-struct-compiler and js-yaml.
const fs = require('fs');
const path = require('path');
const compiler = require('kaitai-struct-compiler');
const yaml = require('js-yaml');

const [out] = process.argv.slice(2);
const dir = path.join(__dirname, '..', 'kaitai');
const read = (name) => yaml.load(fs.readFileSync(path.join(dir, name + '.ksy'), 'utf8'));
const importer = { importYaml: (name) => Promise.resolve(read(name)) };

(async () => {
  for (const file of fs.readdirSync(dir).filter((f) => f.endsWith('.ksy')).sort()) {
    const files = await compiler.compile('python', read(file.slice(0, -4)), importer, false);
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(out, name), text);
  }
})().catch((e) => {
  console.error(String(e.s$1 || e.message || e));
  process.exit(1);
});
