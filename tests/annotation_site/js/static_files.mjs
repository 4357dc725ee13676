// For node: /static/… are the site's files, and every .js file is a module, as in a page.

let statics;

export function initialize(address) {
  statics = address;
}

export function resolve(specifier, context, next) {
  const inside = specifier.match(/^\/static\/(.+)$/);
  return next(inside ? new URL(inside[1], statics).href : specifier, context);
}

export function load(url, context, next) {
  return next(url, url.endsWith('.js') ? {...context, format: 'module'} : context);
}
