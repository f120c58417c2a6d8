// The script of a saved page of the inspector.

import { savedGallery } from "./inspection/saved";
import { openPage } from "./open-page";

await openPage(savedGallery);
