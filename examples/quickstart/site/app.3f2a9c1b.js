// The name has a hash of the content in it, so that browsers may keep it for a year.
document.getElementById("script").textContent = "JavaScript came with it, " + (performance.getEntriesByType("resource").length) + " files in all.";
