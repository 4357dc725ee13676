// Runs every function test… of the files given, and prints what each found wrong as JSON.

import {register} from 'node:module';
import {problemsOf} from './checking.mjs';

const [statics, ...files] = process.argv.slice(2);
register('./static_files.mjs', import.meta.url, {data: statics});

const found = {};
for (const file of files) {
  const module = await import(new URL(file, import.meta.url).href);
  found[file] = {};
  for (const name of Object.keys(module).filter((one) => one.startsWith('test'))) {
    found[file][name] = await problemsOf(module, name).catch((error) => [error.stack]);
  }
}
console.log(JSON.stringify(found));
