// Node without a framework, in the ways that its manuals have shown. `new URL` resolves dots, encoded ones too, and takes a backslash for
// a slash; with a base, `//x/admin` is the path /admin of the host x.
const http = require("node:http");
const url = require("node:url");

const readers = {
  node: (target) => new URL("http://app" + target).pathname,
  "node-base": (target) => new URL(target, "http://app").pathname,
  "node-parse": (target) => url.parse(target).pathname,
};
const read = readers[process.env.NAME];

http.createServer((request, answer) => {
  let path;
  try {
    path = decodeURIComponent(read(request.url));
  } catch {
    answer.writeHead(400).end();
    return;
  }
  const isAdmin = /^\/+admin(\/|$)/.test(path);
  answer.setHeader("X-Handler", isAdmin ? "admin" : "other").end();
}).listen(process.env.PORT, "127.0.0.1");
