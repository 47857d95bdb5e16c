// Express, of the version that is asked for.
const express = require(process.env.EXPRESS);
const app = express();
app.use("/admin", (request, answer) => answer.set("X-Handler", "admin").end());
app.use((request, answer) => answer.set("X-Handler", "other").end());
app.use((error, request, answer, next) => answer.status(400).end());
app.listen(process.env.PORT, "127.0.0.1");
